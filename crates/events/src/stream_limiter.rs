//! Limits the number of concurrent streams and waiting calls, in total and per access.

use std::collections::HashMap;
use std::sync::Arc;

use adapter::{Code, Error};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// The delay after which to retry; streams and waiting calls end within minutes.
const RETRY_AFTER_S: u32 = 10;

/// Maximum numbers of concurrent streams and waiting calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// The limit for all accesses together.
    pub all: usize,
    /// The limit for one access.
    pub per_access: usize,
}

/// The streams and waiting calls of one process.
#[derive(Default)]
pub struct StreamLimiter {
    taken: Mutex<OpenStreams>,
    ending: CancellationToken,
}

#[derive(Default)]
struct OpenStreams {
    all: usize,
    /// The number by client id. An access without streams has no entry.
    by_access: HashMap<Arc<str>, usize>,
}

/// One permit, which is released when dropped.
pub struct StreamPermit {
    limiter: Arc<StreamLimiter>,
    client_id: Arc<str>,
}

impl StreamLimiter {
    /// Takes a permit.
    ///
    /// # Errors
    /// RATE_LIMITED if the access has reached its limit. OVERLOADED if the total limit is reached, or during shutdown.
    pub fn acquire(
        limiter: &Arc<StreamLimiter>,
        client_id: &str,
        limits: StreamLimits,
    ) -> Result<StreamPermit, Error> {
        let refused = |code, why| Err(Error::refused(code).because(why).retry_after(RETRY_AFTER_S));
        let mut taken = limiter.taken.lock();
        if limiter.ending.is_cancelled() {
            return refused(Code::Overloaded, "draining");
        }
        if taken.all >= limits.all {
            return refused(Code::Overloaded, "streams of all accesses");
        }
        if taken.by_access.get(client_id).copied().unwrap_or(0) >= limits.per_access {
            return refused(Code::RateLimited, "streams at once");
        }
        let client_id: Arc<str> = match taken.by_access.get_key_value(client_id) {
            Some((known, _)) => Arc::clone(known),
            None => client_id.into(),
        };
        *taken.by_access.entry(Arc::clone(&client_id)).or_default() += 1;
        taken.all += 1;
        drop(taken);
        Ok(StreamPermit {
            limiter: Arc::clone(limiter),
            client_id,
        })
    }

    /// Returns the number of permits in use.
    #[must_use]
    pub fn open(&self) -> usize {
        self.taken.lock().all
    }

    /// Ends all streams and waiting calls, and grants no more permits.
    pub fn end(&self) {
        self.ending.cancel();
    }

    /// Completes when all streams must end.
    pub async fn ended(&self) {
        self.ending.cancelled().await;
    }

    /// Returns whether all streams must end.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.ending.is_cancelled()
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        let mut taken = self.limiter.taken.lock();
        taken.all -= 1;
        if let Some(mine) = taken.by_access.get_mut(&self.client_id) {
            *mine -= 1;
            if *mine == 0 {
                taken.by_access.remove(&self.client_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_limited_in_total_and_per_access() {
        let limits = StreamLimits {
            all: 3,
            per_access: 2,
        };
        let limiter = Arc::<StreamLimiter>::default();
        let take = |client_id| {
            let place = StreamLimiter::acquire(&limiter, client_id, limits);
            place.map_err(|error| (error.code(), error.retry_after_s()))
        };
        let (first, second, other) = (take("a").unwrap(), take("a").unwrap(), take("b").unwrap());
        assert_eq!(take("b").err(), Some((Code::Overloaded, Some(10))));
        drop(other);
        assert_eq!(take("a").err(), Some((Code::RateLimited, Some(10))));
        drop(first);
        assert!(take("a").is_ok());
        assert_eq!(limiter.open(), 1);
        drop(second);
        assert_eq!(limiter.open(), 0);
        assert!(limiter.taken.lock().by_access.is_empty());
        limiter.end();
        assert_eq!(
            take("a").err().map(|(code, _)| code),
            Some(Code::Overloaded)
        );
    }
}
