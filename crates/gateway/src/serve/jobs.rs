//! Jobs that run beside the requests, and outlive a panic of theirs.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Pause before a job that has panicked begins anew: one that panics at once must not fill the log.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs a job as a task of the set. After a panic, which is logged, it begins anew: calls go on without it, and nobody would see
/// that keys are not rotated or files not read any longer.
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
            tracing::error!(job = name, "a job that panicked begins anew");
            sleep(PAUSE).await;
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_job_that_panics_begins_anew_until_it_returns() {
        let (mut jobs, begun) = (JoinSet::new(), Arc::new(AtomicU32::new(0)));
        spawn(&mut jobs, ("counting", &begun), async |begun| {
            let count = begun.fetch_add(1, Ordering::Relaxed);
            assert!(count >= 2, "a defect");
        });
        jobs.join_next().await.unwrap().unwrap();
        assert_eq!(begun.load(Ordering::Relaxed), 3);
    }
}
