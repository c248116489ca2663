//! Work that goes on when whoever waits for it is gone.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Work that is done where it is waited for. Dropped before its end, it goes on in a task of its own: a task from the
/// beginning would cost every call what only those need whose callers hang up.
pub(crate) struct Unstoppable<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    /// Until it is done.
    left: Option<(Pin<Box<F>>, TaskTrackerToken)>,
}

impl<F> Unstoppable<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    /// Work that the tracker knows of until it is done.
    pub(crate) fn new(tracker: &TaskTracker, work: impl FnOnce() -> F) -> Unstoppable<F> {
        Unstoppable {
            left: Some((Box::pin(work()), tracker.token())),
        }
    }
}

impl<F> Future for Unstoppable<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // Taken out while it is polled: one that panics is gone and is not begun again.
        let Some((mut work, token)) = self.left.take() else {
            return Poll::Pending;
        };
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            self.left = Some((work, token));
        }
        polled
    }
}

impl<F> Drop for Unstoppable<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    fn drop(&mut self) {
        if let (Some((work, token)), Ok(runtime)) = (self.left.take(), Handle::try_current()) {
            runtime.spawn(async move {
                work.await;
                drop(token);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;

    use futures_util::FutureExt;
    use tokio::sync::oneshot;
    use tokio::time::{Duration, timeout};

    use super::*;

    #[tokio::test]
    async fn work_goes_on_without_whoever_waited_and_is_counted_until_its_end() {
        let tracker = TaskTracker::new();
        tracker.close();
        let (go, gone) = oneshot::channel::<()>();
        let (done, is_done) = oneshot::channel();
        let work = Unstoppable::new(&tracker, || async move {
            let _ = gone.await;
            let _ = done.send(());
        });
        let moment = Duration::from_millis(10);
        assert!(timeout(moment, work).await.is_err());
        assert_eq!(tracker.len(), 1);
        go.send(()).unwrap();
        is_done.await.unwrap();
        tracker.wait().await;
    }

    #[tokio::test]
    async fn work_that_panics_is_over() {
        let tracker = TaskTracker::new();
        let work = Unstoppable::new(&tracker, || async { panic!("on purpose") });
        assert!(AssertUnwindSafe(work).catch_unwind().await.is_err());
        assert_eq!(tracker.len(), 0);
    }

    #[tokio::test]
    async fn work_that_is_done_is_not_begun_again() {
        let tracker = TaskTracker::new();
        assert_eq!(Unstoppable::new(&tracker, || async { 7 }).await, 7);
        assert_eq!(tracker.len(), 0);
    }
}
