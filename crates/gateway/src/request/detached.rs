//! A future that runs to its end even if its caller disconnects.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// A future that is polled in place and spawned as a task if it is dropped before its end. Spawning a task from the start would
/// make every call pay for something that only calls with disconnecting callers need.
pub(crate) struct DetachOnDrop<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    /// The work; `None` once it has ended.
    work: Option<(Pin<Box<F>>, TaskTrackerToken)>,
}

impl<F> DetachOnDrop<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    /// Wraps work that the tracker counts until its end.
    pub(crate) fn new(tracker: &TaskTracker, work: Pin<Box<F>>) -> DetachOnDrop<F> {
        DetachOnDrop {
            work: Some((work, tracker.token())),
        }
    }
}

impl<F> Future for DetachOnDrop<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // Taken out during the poll, so that work that panics is not polled again.
        let Some((mut work, token)) = self.work.take() else {
            return Poll::Pending;
        };
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            self.work = Some((work, token));
        }
        polled
    }
}

impl<F> Drop for DetachOnDrop<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    fn drop(&mut self) {
        if let (Some((work, token)), Ok(runtime)) = (self.work.take(), Handle::try_current()) {
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
    async fn dropped_work_continues_and_is_tracked_until_its_end() {
        let tracker = TaskTracker::new();
        tracker.close();
        let (go, gone) = oneshot::channel::<()>();
        let (done, is_done) = oneshot::channel();
        let work = Box::pin(async move {
            let _ = gone.await;
            let _ = done.send(());
        });
        let work = DetachOnDrop::new(&tracker, work);
        let moment = Duration::from_millis(10);
        assert!(timeout(moment, work).await.is_err());
        assert_eq!(tracker.len(), 1);
        go.send(()).unwrap();
        is_done.await.unwrap();
        tracker.wait().await;
    }

    #[tokio::test]
    async fn panicked_work_is_not_spawned() {
        let tracker = TaskTracker::new();
        let work = Box::pin(async { panic!("on purpose") });
        let work = DetachOnDrop::new(&tracker, work);
        assert!(AssertUnwindSafe(work).catch_unwind().await.is_err());
        assert_eq!(tracker.len(), 0);
    }

    #[tokio::test]
    async fn finished_work_is_not_spawned() {
        let tracker = TaskTracker::new();
        let work = Box::pin(async { 7 });
        assert_eq!(DetachOnDrop::new(&tracker, work).await, 7);
        assert_eq!(tracker.len(), 0);
    }
}
