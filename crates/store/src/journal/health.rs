//! Whether the journal can be written, as operators are told and reads may be refused by.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A write that takes longer counts as failing: it is a hundred times what a busy disk takes.
const STALL: Duration = Duration::from_secs(2);

/// What the writer knows of its tries.
pub(super) struct Health(Mutex<State>);

struct State {
    /// Why the last try failed.
    failure: Option<String>,
    /// Since when a try has been under way.
    trying_since: Option<Instant>,
}

impl Health {
    pub(super) fn new() -> Health {
        Health(Mutex::new(State {
            failure: None,
            trying_since: None,
        }))
    }

    /// A try begins.
    pub(super) fn begins(&self, now: Instant) {
        self.state().trying_since = Some(now);
    }

    /// It went well. Says whether the one before had failed.
    pub(super) fn succeeded(&self) -> bool {
        let mut state = self.state();
        state.trying_since = None;
        state.failure.take().is_some()
    }

    /// It failed. Says whether the one before had gone well.
    pub(super) fn failed(&self, reason: String) -> bool {
        let mut state = self.state();
        state.trying_since = None;
        state.failure.replace(reason).is_none()
    }

    /// Whether the last try failed.
    pub(super) fn is_failing(&self) -> bool {
        self.state().failure.is_some()
    }

    /// Why the journal can't be written, if it can't.
    pub(super) fn trouble(&self, now: Instant) -> Option<String> {
        let state = self.state();
        let stalls = || {
            let since = state.trying_since?;
            (now.saturating_duration_since(since) > STALL)
                .then(|| "store: a write takes too long".to_owned())
        };
        state.failure.clone().or_else(stalls)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing between two changes of it can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
