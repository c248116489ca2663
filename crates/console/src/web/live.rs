//! What the console looks at by itself: the metrics for the overview's charts, and, while anybody watches, the journal for
//! all tails together.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::availability::Availability;
use super::figures::Figures;
use super::history::{History, STEP_S};
use super::tail::Tail;
use crate::Console;

/// Between two looks at the journal: what has been written is shown within this and the tenth of a second that writing
/// takes.
const TAIL_INTERVAL: Duration = Duration::from_millis(500);

/// Looks at the journal between two at the metrics.
const TAILS_PER_STEP: u64 = STEP_S * 2;

/// What is known.
pub(crate) struct Live {
    pub(super) history: History,
    pub(super) availability: Availability,
    pub(super) tail: Tail,
    /// Moves with every step of the history.
    pub(super) step: watch::Sender<u64>,
}

impl Live {
    pub(crate) fn new() -> Live {
        Live {
            history: History::default(),
            availability: Availability::default(),
            tail: Tail::new(),
            step: watch::Sender::new(0),
        }
    }
}

/// Looks until it is dropped.
pub(crate) async fn run(console: Arc<Console>) {
    let mut interval = tokio::time::interval(TAIL_INTERVAL);
    // A look that comes late is not made up for.
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for round in 0_u64.. {
        interval.tick().await;
        let live = &console.live;
        live.tail.look(&console.store).await;
        if round % TAILS_PER_STEP == 0 {
            live.history.take(Figures::read(&console.gateway.metrics()));
            live.step.send_modify(|step| *step += 1);
        }
        if round % TAILS_PER_STEP == 1 || !live.availability.seen().is_whole {
            let now_ms = console.now().saturating_mul(1000);
            live.availability.count(&console.store, now_ms).await;
        }
    }
}
