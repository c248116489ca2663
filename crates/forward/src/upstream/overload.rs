//! Detects that more calls arrive than the upstream can handle: the oldest call has waited longer than a target for a whole
//! interval (the sojourn time of CoDel, RFC 8289), and the queue has grown in that time. The clock is passed in.

use std::time::{Duration, Instant};

/// The target for the wait of the oldest call, and the time for which it may be exceeded before that is an overload.
pub(super) const SOJOURN_TARGET: Duration = Duration::from_millis(250);
const SOJOURN_INTERVAL: Duration = Duration::from_millis(100);

/// The queue has grown if it is longer by more than its length divided by this number. Callers that each wait for their answer keep
/// the length constant.
const GROWTH_PART: usize = 8;

/// The state of the detection of an overload.
#[derive(Default)]
pub(super) struct Overload {
    next_check: Option<Instant>,
    /// The number of waiting calls at the last check, if the oldest was above the target.
    above: Option<usize>,
    /// True if a call was rejected since then.
    has_refused: bool,
    /// The time when a call was last rejected because of the overload. The overload ends one interval later.
    refused_at: Option<Instant>,
}

impl Overload {
    /// Returns whether there is an overload now.
    pub(super) fn is_active(&self, now: Instant) -> bool {
        self.refused_at
            .is_some_and(|refused_at| now < refused_at + SOJOURN_INTERVAL)
    }

    /// Notes that a call was rejected or evicted because the queue is full. This prolongs an overload.
    pub(super) fn record_refusal(&mut self, now: Instant) {
        self.has_refused = true;
        if self.is_active(now) {
            self.refused_at = Some(now);
        }
    }

    /// Returns whether an overload begins now, from the number of waiting calls and the arrival of the oldest one.
    pub(super) fn detect(
        &mut self,
        now: Instant,
        waiting: usize,
        oldest: impl FnOnce() -> Option<Instant>,
    ) -> bool {
        if self.is_active(now) || self.next_check.is_some_and(|next_check| now < next_check) {
            return false;
        }
        let waited = oldest().map(|since| now.saturating_duration_since(since));
        let is_above = waited.is_some_and(|waited| waited > SOJOURN_TARGET);
        let has_grown = |before| self.has_refused || waiting > before + before / GROWTH_PART;
        let begins = is_above && self.above.is_some_and(has_grown);
        *self = Overload {
            next_check: Some(now + SOJOURN_INTERVAL),
            above: is_above.then_some(waiting),
            has_refused: false,
            refused_at: begins.then_some(now),
        };
        begins
    }
}
