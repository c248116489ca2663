//! Waiting for what has to come: never without a deadline.

use std::time::{Duration, Instant};

/// Longest wait for anything: a busy machine, not a figure to measure.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks, so that who waits leaves the processor to what is waited for.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Looks again and again until it is so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}");
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
