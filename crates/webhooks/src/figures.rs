//! What metrics say of webhooks. No label names one, its receiver or its access.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::sender::OUTCOMES;

/// The figures of all webhooks that this process serves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WebhookFigures {
    /// Attempts since the start, by what came of them.
    pub attempts: BTreeMap<&'static str, u64>,
    /// Webhooks in each state, by its word.
    pub states: BTreeMap<&'static str, u64>,
    /// Deliveries that are not settled.
    pub unsettled: u64,
    /// When the oldest of them happened, in milliseconds since 1970, UTC.
    pub oldest_ms: Option<i64>,
    /// Times that events were not kept for long enough.
    pub lost: u64,
}

/// The figures as they are kept.
#[derive(Default)]
pub(crate) struct Figures(Mutex<WebhookFigures>);

impl Figures {
    pub(crate) fn count(&self, cause: &'static str) {
        *self.locked().attempts.entry(cause).or_default() += 1;
    }

    /// Shows what was found at the last look; attempts go on to be counted.
    pub(crate) fn show(&self, found: WebhookFigures) {
        let mut figures = self.locked();
        let attempts = std::mem::take(&mut figures.attempts);
        *figures = WebhookFigures { attempts, ..found };
    }

    /// The figures so far, with all outcomes.
    pub(crate) fn so_far(&self) -> WebhookFigures {
        let mut figures = self.locked().clone();
        for outcome in OUTCOMES {
            figures.attempts.entry(outcome).or_default();
        }
        figures
    }

    fn locked(&self) -> MutexGuard<'_, WebhookFigures> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
