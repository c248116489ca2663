//! Whether more calls come than the upstream takes: the oldest call has waited longer than a target for a whole interval (the
//! sojourn time of CoDel, RFC 8289), and the line has grown meanwhile. The clock is passed in.

use std::time::{Duration, Instant};

/// How long the oldest call may wait, and for how long it may wait longer before that is an overload.
pub(super) const SOJOURN_TARGET: Duration = Duration::from_millis(250);
const SOJOURN_INTERVAL: Duration = Duration::from_millis(100);

/// A line has grown if it is longer by more than this part: callers who each wait for their answer keep it as long as it is.
const GROWTH_PART: usize = 8;

/// Whether more calls come than the upstream takes.
#[derive(Default)]
pub(super) struct Overload {
    next_look: Option<Instant>,
    /// How many calls waited at the last look, if the oldest was above the target.
    above: Option<usize>,
    /// Whether a call was refused since then.
    has_refused: bool,
    /// When a call was last refused for it. The overload ends an interval later.
    refused_at: Option<Instant>,
}

impl Overload {
    /// Whether there is one now.
    pub(super) fn is_on(&self, now: Instant) -> bool {
        self.refused_at
            .is_some_and(|refused_at| now < refused_at + SOJOURN_INTERVAL)
    }

    /// A call is refused or evicted for want of room, so that an overload goes on.
    pub(super) fn refused(&mut self, now: Instant) {
        self.has_refused = true;
        if self.is_on(now) {
            self.refused_at = Some(now);
        }
    }

    /// Whether an overload begins now, with so many calls waiting and the oldest of them since then.
    pub(super) fn begins(
        &mut self,
        now: Instant,
        waiting: usize,
        oldest: impl FnOnce() -> Option<Instant>,
    ) -> bool {
        if self.is_on(now) || self.next_look.is_some_and(|next_look| now < next_look) {
            return false;
        }
        let waited = oldest().map(|since| now.saturating_duration_since(since));
        let is_above = waited.is_some_and(|waited| waited > SOJOURN_TARGET);
        let has_grown = |before| self.has_refused || waiting > before + before / GROWTH_PART;
        let begins = is_above && self.above.is_some_and(has_grown);
        *self = Overload {
            next_look: Some(now + SOJOURN_INTERVAL),
            above: is_above.then_some(waiting),
            has_refused: false,
            refused_at: begins.then_some(now),
        };
        begins
    }
}
