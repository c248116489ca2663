//! Restarts jobs that panic.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::sleep;

/// Pause before a job that has panicked is restarted, so that a job that panics immediately does not fill the log.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs a job until it returns. Restarts the job after a panic, which is logged. The process would continue without the job, and
/// nobody would notice that rows are no longer written, keys no longer rotated or files no longer read.
pub async fn restart_on_panic<F: Future<Output = ()>>(job: &'static str, run: impl Fn() -> F) {
    while AssertUnwindSafe(run()).catch_unwind().await.is_err() {
        tracing::error!(job, "restarting a job that panicked");
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_panicking_job_is_restarted_until_it_returns() {
        let begun = AtomicU32::new(0);
        restart_on_panic("counting", async || {
            let count = begun.fetch_add(1, Ordering::Relaxed);
            assert!(count >= 2, "a defect");
        })
        .await;
        assert_eq!(begun.load(Ordering::Relaxed), 3);
    }
}
