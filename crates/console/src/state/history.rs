//! The metrics of the last half hour, in memory.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use telemetry::MetricsSnapshot;
use tokio::sync::watch;

/// Seconds between two polls of the metrics, unless the process was too busy to poll in time.
pub(crate) const STEP_S: u64 = 5;

/// Maximum number of stored steps: half an hour.
pub(crate) const STEPS: usize = 360;

/// The changes of the metrics between two polls.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct HistoryStep {
    /// The length of the step, in seconds.
    pub(crate) seconds: f64,
    /// Requests that succeeded.
    pub(crate) served: u64,
    /// Requests that failed.
    pub(crate) failed: u64,
    /// The median request duration, in milliseconds.
    pub(crate) p50: Option<f64>,
    /// The 95th percentile of request durations, in milliseconds.
    pub(crate) p95: Option<f64>,
    /// The 99th percentile of request durations, in milliseconds.
    pub(crate) p99: Option<f64>,
}

impl HistoryStep {
    /// Returns the rate per second that corresponds to this count in the step.
    pub(crate) fn per_second(&self, count: u64) -> f64 {
        if self.seconds > 0.0 {
            count as f64 / self.seconds
        } else {
            0.0
        }
    }
}

/// The history of the metrics, step by step.
#[derive(Default)]
pub(crate) struct History {
    state: Mutex<HistoryState>,
    /// Notifies subscribers of each new step.
    moved: watch::Sender<()>,
}

/// The steps, oldest first, and the metrics at the end of the last step.
#[derive(Default)]
struct HistoryState {
    steps: VecDeque<HistoryStep>,
    last: Option<(Arc<MetricsSnapshot>, Instant)>,
}

impl History {
    /// Adds the current metrics, and a step since the previous ones.
    pub(crate) fn push(&self, now: MetricsSnapshot, at: Instant) {
        let mut state = self.state.lock();
        if let Some((last, began)) = &state.last {
            let latency = now.latency.since(&last.latency);
            let step = HistoryStep {
                seconds: at.saturating_duration_since(*began).as_secs_f64(),
                served: now.served.saturating_sub(last.served),
                failed: now.failed.saturating_sub(last.failed),
                p50: latency.quantile_ms(0.5),
                p95: latency.quantile_ms(0.95),
                p99: latency.quantile_ms(0.99),
            };
            state.steps.push_back(step);
        }
        if state.steps.len() > STEPS {
            state.steps.pop_front();
        }
        state.last = Some((Arc::new(now), at));
        drop(state);
        self.moved.send_replace(());
    }

    /// Returns the steps, oldest first, and the metrics at the end of the last step.
    pub(crate) fn view(&self) -> (Vec<HistoryStep>, Arc<MetricsSnapshot>) {
        let state = self.state.lock();
        let steps = state.steps.iter().cloned().collect();
        let last = state.last.as_ref().map(|(last, _)| Arc::clone(last));
        (steps, last.unwrap_or_default())
    }

    /// Returns a receiver that is notified of each new step.
    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.moved.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_history_step_is_the_difference_between_two_snapshots() {
        let history = History::default();
        let snapshot = |served| MetricsSnapshot {
            served,
            ..MetricsSnapshot::default()
        };
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        history.push(snapshot(10), at(0));
        assert_eq!(history.view().0, [], "nothing is known of the time before");
        history.push(snapshot(15), at(5));
        assert_eq!(history.view().0.last().unwrap().served, 5);
        for served in 0..1000 {
            history.push(snapshot(served), at(served * 5));
        }
        assert_eq!(history.view().0.len(), STEPS);
    }

    #[test]
    fn a_rate_uses_the_elapsed_time_even_after_a_late_poll() {
        let history = History::default();
        let begin = Instant::now();
        for (served, failed, after_s) in [(0, 0, 0), (40, 10, 5), (1000, 50, 25), (1000, 50, 25)] {
            let counts = MetricsSnapshot {
                served,
                failed,
                ..MetricsSnapshot::default()
            };
            history.push(counts, begin + Duration::from_secs(after_s));
        }
        let (steps, _) = history.view();
        let rates = steps
            .iter()
            .map(|step| step.per_second(step.served + step.failed));
        assert_eq!(rates.collect::<Vec<_>>(), [10.0, 50.0, 0.0]);
    }
}
