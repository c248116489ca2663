//! What the console polls by itself: the metrics for the overview's charts, the journal for this month's availability and,
//! while anybody watches, for all live tails together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{Interval, MissedTickBehavior};

use crate::state::Console;
use crate::state::history::STEP_S;

/// Between two polls of the journal: a written row is shown within this and the tenth of a second that writing takes.
const TAIL_INTERVAL: Duration = Duration::from_millis(500);

/// Polls of the journal between two counts of the availability.
const TAILS_PER_COUNT: u64 = STEP_S * 2;

/// Polls until the future is dropped.
pub(crate) async fn run(console: Arc<Console>) {
    // A store that is slow holds up what is read from it, and not the metrics.
    tokio::join!(take_metrics(&console), read_journal(&console));
}

async fn take_metrics(console: &Console) {
    let mut interval = every(Duration::from_secs(STEP_S));
    loop {
        interval.tick().await;
        let metrics = console.gateway.metrics_snapshot();
        console.history.push(metrics, Instant::now());
    }
}

async fn read_journal(console: &Console) {
    let mut interval = every(TAIL_INTERVAL);
    for round in 0_u64.. {
        interval.tick().await;
        console.tail.poll(&console.store).await;
        if round % TAILS_PER_COUNT == 1 || !console.availability.view().is_whole {
            let now_ms = console.now().saturating_mul(1000);
            console.availability.count(&console.store, now_ms).await;
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    // A late poll is not made up for.
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
