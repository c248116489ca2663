//! Whether the store can be written: readiness reports it, and sends and reads may be refused by it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A write that takes longer counts as failing: it is a hundred times what a busy disk takes.
const STALL: Duration = Duration::from_secs(2);

/// What the writer knows of its writes.
pub(crate) struct WriterHealth(Mutex<HealthState>);

struct HealthState {
    /// Why the last write of the journal failed.
    failure: Option<String>,
    /// Since when a write has been under way.
    writing_since: Option<Instant>,
}

impl WriterHealth {
    pub(crate) fn new() -> WriterHealth {
        WriterHealth(Mutex::new(HealthState {
            failure: None,
            writing_since: None,
        }))
    }

    /// A write begins.
    pub(crate) fn begins(&self, now: Instant) {
        self.state().writing_since = Some(now);
    }

    /// A write that says nothing about the journal has ended.
    pub(crate) fn rests(&self) {
        self.state().writing_since = None;
    }

    /// The journal was written. Returns whether the one before had failed.
    pub(crate) fn succeeded(&self) -> bool {
        let mut state = self.state();
        state.writing_since = None;
        state.failure.take().is_some()
    }

    /// The journal could not be written. Returns whether the one before had gone well.
    pub(crate) fn failed(&self, reason: String) -> bool {
        let mut state = self.state();
        state.writing_since = None;
        state.failure.replace(reason).is_none()
    }

    /// Whether the last write of the journal failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.state().failure.is_some()
    }

    /// Why the journal can't be written, if it can't.
    pub(crate) fn trouble(&self, now: Instant) -> Option<String> {
        let state = self.state();
        let stalls = || {
            let since = state.writing_since?;
            (now.saturating_duration_since(since) > STALL)
                .then(|| "store: a write takes too long".to_owned())
        };
        state.failure.clone().or_else(stalls)
    }

    fn state(&self) -> MutexGuard<'_, HealthState> {
        // Nothing between two changes of it can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
