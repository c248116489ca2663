//! What the console polls by itself: the metrics for the overview's charts, the journal for this month's availability and,
//! while anybody watches, for all live tails together.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::state::Console;
use crate::state::history::STEP_S;

/// Between two polls of the journal: a written row is shown within this and the tenth of a second that writing takes.
const TAIL_INTERVAL: Duration = Duration::from_millis(500);

/// Polls of the journal between two of the metrics.
const TAILS_PER_STEP: u64 = STEP_S * 2;

/// Polls until the future is dropped.
pub(crate) async fn run(console: Arc<Console>) {
    let mut interval = tokio::time::interval(TAIL_INTERVAL);
    // A late poll is not made up for.
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for round in 0_u64.. {
        interval.tick().await;
        console.tail.poll(&console.store).await;
        if round % TAILS_PER_STEP == 0 {
            console.history.push(console.gateway.metrics_snapshot());
        }
        if round % TAILS_PER_STEP == 1 || !console.availability.view().is_whole {
            let now_ms = console.now().saturating_mul(1000);
            console.availability.count(&console.store, now_ms).await;
        }
    }
}
