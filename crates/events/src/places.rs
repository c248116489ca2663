//! How many streams and waiting calls are open at once, in all and by access.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use adapter::{Code, Error};
use tokio_util::sync::CancellationToken;

/// When to come again: streams and waits end within minutes.
const RETRY_AFTER_S: u32 = 10;

/// Most streams and waiting calls at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamLimits {
    /// Of all accesses together.
    pub all: usize,
    /// Of one access.
    pub per_access: usize,
}

/// The streams and waiting calls of one process.
#[derive(Default)]
pub struct StreamPlaces {
    taken: Mutex<TakenPlaces>,
    ending: CancellationToken,
}

#[derive(Default)]
struct TakenPlaces {
    all: usize,
    /// By client id. An access without any has no entry.
    by_access: HashMap<Arc<str>, usize>,
}

/// One place; free again when dropped.
pub struct StreamPlace {
    places: Arc<StreamPlaces>,
    client_id: Arc<str>,
}

impl StreamPlaces {
    /// Takes a place.
    ///
    /// # Errors
    /// RATE_LIMITED when the access has all of its own, OVERLOADED when there is none for anybody, or everything ends.
    pub fn take(
        places: &Arc<StreamPlaces>,
        client_id: &str,
        limits: StreamLimits,
    ) -> Result<StreamPlace, Error> {
        let refused = |code, why| Err(Error::refused(code).because(why).retry_after(RETRY_AFTER_S));
        let mut taken = places.lock();
        if places.ending.is_cancelled() {
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
        Ok(StreamPlace {
            places: Arc::clone(places),
            client_id,
        })
    }

    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.lock().all
    }

    /// Ends all streams and waits, and gives no more places.
    pub fn end(&self) {
        self.ending.cancel();
    }

    /// Completes when all streams have to end.
    pub async fn ended(&self) {
        self.ending.cancelled().await;
    }

    /// Whether all streams have to end.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.ending.is_cancelled()
    }

    fn lock(&self) -> MutexGuard<'_, TakenPlaces> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut taken = self.places.lock();
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
    fn places_are_bounded_in_all_and_by_access_and_come_back() {
        let limits = StreamLimits {
            all: 3,
            per_access: 2,
        };
        let places = Arc::<StreamPlaces>::default();
        let take = |client_id| {
            let place = StreamPlaces::take(&places, client_id, limits);
            place.map_err(|error| (error.code(), error.retry_after_s()))
        };
        let (first, second, other) = (take("a").unwrap(), take("a").unwrap(), take("b").unwrap());
        assert_eq!(take("b").err(), Some((Code::Overloaded, Some(10))));
        drop(other);
        assert_eq!(take("a").err(), Some((Code::RateLimited, Some(10))));
        drop(first);
        assert!(take("a").is_ok());
        assert_eq!(places.taken(), 1);
        drop(second);
        assert_eq!(places.taken(), 0);
        assert!(places.lock().by_access.is_empty());
        places.end();
        assert_eq!(
            take("a").err().map(|(code, _)| code),
            Some(Code::Overloaded)
        );
    }
}
