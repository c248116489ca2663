//! The last half hour of the figures, in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::figures::Figures;

/// Seconds between two looks at the metrics.
pub(super) const STEP_S: u64 = 5;

/// Looks that are kept: half an hour.
pub(super) const STEPS: usize = 360;

/// What happened between two looks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Step {
    /// Requests that ended well.
    pub(super) served: u64,
    /// Requests that ended otherwise.
    pub(super) failed: u64,
    /// Half of the requests took at most so long, in milliseconds.
    pub(super) p50: Option<f64>,
    /// Ninety-five in a hundred.
    pub(super) p95: Option<f64>,
    /// Ninety-nine in a hundred.
    pub(super) p99: Option<f64>,
}

/// The steps so far and the counts at the last of them.
#[derive(Default)]
pub(super) struct History(Mutex<(VecDeque<Step>, Option<Arc<Figures>>)>);

impl History {
    /// Notes the counts of now.
    pub(super) fn take(&self, now: Figures) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (steps, last) = &mut *kept;
        if let Some(last) = last {
            let latency = now.latency.since(&last.latency);
            let failed = |figures: &Figures| figures.requests() - figures.served;
            steps.push_back(Step {
                served: now.served.saturating_sub(last.served),
                failed: failed(&now).saturating_sub(failed(last)),
                p50: latency.quantile_ms(0.5),
                p95: latency.quantile_ms(0.95),
                p99: latency.quantile_ms(0.99),
            });
        }
        if steps.len() > STEPS {
            steps.pop_front();
        }
        *last = Some(Arc::new(now));
    }

    /// The steps, oldest first, and the counts of the last look.
    pub(super) fn seen(&self) -> (Vec<Step>, Arc<Figures>) {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (steps, last) = &*kept;
        (
            steps.iter().cloned().collect(),
            last.clone().unwrap_or_default(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_what_came_between_two_looks() {
        let history = History::default();
        let figures = |served| Figures {
            served,
            ..Figures::default()
        };
        history.take(figures(10));
        assert_eq!(history.seen().0, [], "nothing is known of the time before");
        history.take(figures(15));
        assert_eq!(history.seen().0.last().unwrap().served, 5);
        for served in 0..1000 {
            history.take(figures(served));
        }
        assert_eq!(history.seen().0.len(), STEPS);
    }
}
