//! Runs jobs next to the requests. A job that panics is restarted.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Pause before a job that has panicked is restarted, so that a job that panics immediately does not fill the log.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs a job as a task of the set. Restarts the job after a panic, which is logged. Calls would continue without the job, and
/// nobody would notice that keys are no longer rotated or files no longer read.
pub(super) fn spawn<C, F>(
    jobs: &mut JoinSet<()>,
    (name, context): (&'static str, &Arc<C>),
    run: impl Fn(Arc<C>) -> F + Send + 'static,
) where
    C: Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let context = Arc::clone(context);
    jobs.spawn(async move {
        while AssertUnwindSafe(run(Arc::clone(&context)))
            .catch_unwind()
            .await
            .is_err()
        {
            tracing::error!(job = name, "restarting a job that panicked");
            sleep(PAUSE).await;
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_panicking_job_is_restarted_until_it_returns() {
        let (mut jobs, begun) = (JoinSet::new(), Arc::new(AtomicU32::new(0)));
        spawn(&mut jobs, ("counting", &begun), async |begun| {
            let count = begun.fetch_add(1, Ordering::Relaxed);
            assert!(count >= 2, "a defect");
        });
        jobs.join_next().await.unwrap().unwrap();
        assert_eq!(begun.load(Ordering::Relaxed), 3);
    }
}
