//! Limits how long one call waits for shared counts.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::{Instant, timeout};

/// The time that one call has waited for shared counts so far. All requests of one call together wait no longer than one request
/// may.
#[derive(Debug, Default)]
pub struct CallWait {
    waited_us: AtomicU64,
}

impl CallWait {
    /// Returns whether the call has not waited yet.
    pub(crate) fn is_new(&self) -> bool {
        self.waited() == Duration::ZERO
    }

    /// Waits for `waiting` until the call has waited for `most` in total. Returns `None` when that time has passed.
    pub async fn at_most<T>(&self, most: Duration, waiting: impl Future<Output = T>) -> Option<T> {
        let (began, left) = (Instant::now(), most.saturating_sub(self.waited()));
        let answer = timeout(left, waiting).await.ok();
        let waited = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.waited_us.fetch_add(waited, Ordering::Relaxed);
        answer
    }

    fn waited(&self) -> Duration {
        Duration::from_micros(self.waited_us.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_counts_of_a_call_share_one_time_limit() {
        let (began, wait, most) = (
            Instant::now(),
            CallWait::default(),
            Duration::from_millis(25),
        );
        let answer = tokio::time::sleep(Duration::from_millis(15));
        assert!(wait.at_most(most, answer).await.is_some());
        assert!(wait.at_most(most, pending::<()>()).await.is_none());
        assert!(wait.at_most(most, pending::<()>()).await.is_none());
        // Timers are accurate to a millisecond.
        let waited = began.elapsed();
        assert!(waited >= most && waited < most + Duration::from_millis(3));
        // An answer that is ready immediately is still returned.
        assert_eq!(wait.at_most(most, async { 1 }).await, Some(1));
    }
}
