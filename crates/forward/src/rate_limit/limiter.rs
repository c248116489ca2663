//! One GCRA limit over many keys, which can also be looked at.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;

use governor::clock::Clock;
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::nanos::Nanos;
use governor::state::keyed::DashMapStateStore;
use governor::state::{NotKeyed, StateStore};
use governor::{NotUntil, Quota, RateLimiter};

/// What the limit says of a call: how much is left after it, or until when it has to wait.
pub(super) type RateDecision<C> = Result<StateSnapshot, NotUntil<<C as Clock>::Instant>>;

/// What has been counted. Its hash is quick and keyed at random; the number of keys is bounded besides.
type Counts<K> = DashMapStateStore<K, foldhash::quality::RandomState>;

/// A limit over many keys.
///
/// Two limiters share one table of counts. Both decide with the same arithmetic; what the one that looks decides is not
/// written. They were begun one after the other, so that the one that looks is behind by that moment, less than a
/// microsecond on the machine's clock.
pub(super) struct Limiter<K: Hash + Eq + Clone, C: Clock> {
    counts: Arc<Counts<K>>,
    counting: RateLimiter<K, Written<K>, C, StateInformationMiddleware>,
    looking: RateLimiter<K, Unwritten<K>, C, StateInformationMiddleware>,
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Limiter<K, C> {
    pub(super) fn new(per_minute: NonZeroU32, clock: &C) -> Limiter<K, C> {
        let quota = Quota::per_minute(per_minute);
        let counts = Arc::<Counts<K>>::default();
        let written = Written(Arc::clone(&counts));
        let unwritten = Unwritten(Arc::clone(&counts));
        Limiter {
            counting: RateLimiter::new(quota, written, clock.clone()),
            looking: RateLimiter::new(quota, unwritten, clock.clone()),
            counts,
        }
    }

    /// Counts a call.
    pub(super) fn check_key(&self, key: &K) -> RateDecision<C> {
        self.counting.check_key(key)
    }

    /// What [`Limiter::check_key`] would say now; counts nothing and keeps no key.
    pub(super) fn look_at(&self, key: &K) -> RateDecision<C> {
        self.looking.check_key(key)
    }

    /// Forgets the keys that have run full again.
    pub(super) fn retain_recent(&self) {
        self.counting.retain_recent();
    }

    pub(super) fn shrink_to_fit(&self) {
        self.counts.shrink_to_fit();
    }

    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }
}

/// The table, written to by every decision that lets a call through.
struct Written<K>(Arc<Counts<K>>);

impl<K: Hash + Eq + Clone> StateStore for Written<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.measure_and_replace(key, decide)
    }
}

impl<K: Hash + Eq + Clone> governor::state::keyed::ShrinkableKeyedStateStore<K> for Written<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        self.0.retain_recent(drop_below);
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The same table, to be read.
struct Unwritten<K>(Arc<Counts<K>>);

impl<K: Hash + Eq + Clone> StateStore for Unwritten<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, key: &K, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let unwritten = |count| decide(count).map(|(said, _)| said);
        let Some(count) = self.0.get(key) else {
            return unwritten(None);
        };
        // A count is replaced by what a decision makes of it, and stays as it is after an error: so each is one.
        let decided = count.measure_and_replace(&NotKeyed::NonKey, |count| {
            Err::<(std::convert::Infallible, Nanos), _>(unwritten(count))
        });
        match decided {
            Ok(never) => match never {},
            Err(decided) => decided,
        }
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    #[test]
    fn who_looks_while_others_count_lets_nobody_slip_through() {
        let most = NonZeroU32::new(10_000).unwrap();
        let limiter = Limiter::new(most, &FakeRelativeClock::default());
        let counted = || {
            (0..5000)
                .filter(|_| limiter.check_key(&"a").is_ok())
                .count()
        };
        let looked = || (0..5000).filter(|_| limiter.look_at(&"a").is_ok()).count();
        let let_through: usize = std::thread::scope(|scope| {
            let counting: Vec<_> = (0..4).map(|_| scope.spawn(counted)).collect();
            let looking: Vec<_> = (0..4).map(|_| scope.spawn(looked)).collect();
            for looking in looking {
                looking.join().unwrap();
            }
            counting
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(let_through, 10_000);
        assert!(limiter.look_at(&"a").is_err());
    }
}
