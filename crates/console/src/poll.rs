//! The console's background polls: the metrics for the overview's charts, the journal for this month's availability and, while any
//! page watches, the journal for all live tails together.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{Interval, MissedTickBehavior};

use crate::state::Console;
use crate::state::history::STEP_S;

/// Interval between two polls of the journal. A row appears within this time plus the tenth of a second that writing takes.
const TAIL_INTERVAL: Duration = Duration::from_millis(500);

/// Number of journal polls between two counts of the availability.
const TAILS_PER_COUNT: u64 = STEP_S * 2;

/// Polls until the future is dropped.
pub(crate) async fn run(console: Arc<Console>) {
    // Poll both concurrently, so that a slow store delays the journal but not the metrics.
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
            let now_ms = console.judged_now().saturating_mul(1000);
            console.availability.count(&console.store, now_ms).await;
        }
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period);
    // A delayed poll is not followed by extra polls to catch up.
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}
