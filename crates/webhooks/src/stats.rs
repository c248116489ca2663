//! The metrics of webhooks. No label names a webhook, its receiver or its access.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::sender::OUTCOMES;

/// The figures of all webhooks that this process serves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WebhookStats {
    /// Attempts since the start, by outcome.
    pub attempts: BTreeMap<&'static str, u64>,
    /// Events given up since the start.
    pub given_up: u64,
    /// The number of webhooks in each state, by the state's word.
    pub states: BTreeMap<&'static str, u64>,
    /// The number of unsettled deliveries.
    pub unsettled: u64,
    /// The time of the oldest unsettled event, in milliseconds since 1970, UTC.
    pub oldest_ms: Option<i64>,
    /// The number of times that events left the log before they were delivered.
    pub lost: u64,
}

/// The stored figures.
#[derive(Default)]
pub(crate) struct StatsCell(Mutex<WebhookStats>);

impl StatsCell {
    pub(crate) fn count(&self, cause: &'static str) {
        *self.0.lock().attempts.entry(cause).or_default() += 1;
    }

    pub(crate) fn count_given_up(&self) {
        self.0.lock().given_up += 1;
    }

    /// Replaces all figures with those of the latest check, except the counters of attempts and of events given up, which continue.
    pub(crate) fn replace(&self, found: WebhookStats) {
        let mut stats = self.0.lock();
        let attempts = std::mem::take(&mut stats.attempts);
        let given_up = stats.given_up;
        *stats = WebhookStats {
            attempts,
            given_up,
            ..found
        };
    }

    /// Returns the current figures, with a counter for every outcome.
    pub(crate) fn snapshot(&self) -> WebhookStats {
        let mut stats = self.0.lock().clone();
        for outcome in OUTCOMES {
            stats.attempts.entry(outcome).or_default();
        }
        stats
    }
}
