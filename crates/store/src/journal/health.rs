//! Tracks whether the store can be written. Readiness reports this state, and sends and reads may be rejected because of it.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Duration after which a write counts as failing: a hundred times the duration of a write on a busy disk.
const STALL: Duration = Duration::from_secs(2);

/// The health of a writer, as the writer observes it.
pub(crate) struct WriterHealth(Mutex<HealthState>);

struct HealthState {
    /// The reason why the last write of the journal failed.
    failure: Option<String>,
    /// The start of the current write.
    writing_since: Option<Instant>,
}

impl WriterHealth {
    pub(crate) fn new() -> WriterHealth {
        WriterHealth(Mutex::new(HealthState {
            failure: None,
            writing_since: None,
        }))
    }

    /// Records the start of a write.
    pub(crate) fn begins(&self, now: Instant) {
        self.0.lock().writing_since = Some(now);
    }

    /// Records the end of a write whose result does not show whether the journal can be written.
    pub(crate) fn rests(&self) {
        self.0.lock().writing_since = None;
    }

    /// Records that the journal was written. Returns whether the previous write had failed.
    pub(crate) fn succeeded(&self) -> bool {
        let mut state = self.0.lock();
        state.writing_since = None;
        state.failure.take().is_some()
    }

    /// Records that the journal could not be written. Returns whether the previous write had succeeded.
    pub(crate) fn failed(&self, reason: String) -> bool {
        let mut state = self.0.lock();
        state.writing_since = None;
        state.failure.replace(reason).is_none()
    }

    /// Returns whether the last write of the journal failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.0.lock().failure.is_some()
    }

    /// Returns the reason why the journal can't be written, if it can't be written.
    pub(crate) fn trouble(&self, now: Instant) -> Option<String> {
        let state = self.0.lock();
        let stalls = || {
            let since = state.writing_since?;
            (now.saturating_duration_since(since) > STALL)
                .then(|| "store: a write takes too long".to_owned())
        };
        state.failure.clone().or_else(stalls)
    }
}
