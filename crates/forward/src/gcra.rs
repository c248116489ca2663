//! The arithmetic of all limits, governor's GCRA, over many keys and with lookups that count nothing.

use std::convert::Infallible;
use std::hash::Hash;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use foldhash::quality::RandomState;
use governor::clock::{Clock, Reference};
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::nanos::Nanos;
use governor::state::keyed::{DashMapStateStore, ShrinkableKeyedStateStore};
use governor::state::{NotKeyed, StateStore};
use governor::{NotUntil, Quota, RateLimiter};

use crate::share::Share;

/// The decision of a limit about a call. The number is the cells that the call takes if several processes share the limit. The
/// result is the state after the call, or the time until which the call has to wait.
pub(crate) type RateDecision<C> = (
    NonZeroU32,
    Result<StateSnapshot, NotUntil<<C as Clock>::Instant>>,
);

/// A table that stores for each key the time at which its limit is full again.
pub(crate) trait CountTable<K: Hash>: ShrinkableKeyedStateStore<K> {
    /// Returns that time; `None` for a key that is not counted.
    fn full_at(&self, key: &K) -> Option<Nanos>;
}

/// A table that grows with its keys. Its hash is fast and has a random key. The user of the table has to limit the number of keys.
pub(crate) type GrowingTable<K> = DashMapStateStore<K, RandomState>;

impl<K: Hash + Eq + Clone> CountTable<K> for GrowingTable<K> {
    fn full_at(&self, key: &K) -> Option<Nanos> {
        let count = self.get(key)?;
        // governor lets a count be read only by a decision, and an error leaves the count unchanged, so the read is an error.
        let read = count.measure_and_replace(&NotKeyed::NonKey, |full_at| {
            Err::<(Infallible, Nanos), _>(full_at)
        });
        match read {
            Ok(never) => match never {},
            Err(full_at) => full_at,
        }
    }
}

/// A limit over many keys.
///
/// Two limiters share one table of counts and decide with the same arithmetic; the decisions of the looking one are not written.
/// The looking limiter is created just after the counting one, so it is behind by that moment, less than a microsecond on the
/// machine's clock.
pub(crate) struct Limiter<K: Hash + Eq + Clone, T: CountTable<K>, C: Clock> {
    table: Arc<T>,
    share: Share,
    at_once: NonZeroU32,
    clock: C,
    began: C::Instant,
    counting: RateLimiter<K, CountingTable<T>, C, StateInformationMiddleware>,
    peeking: RateLimiter<K, ReadOnlyTable<K, T>, C, StateInformationMiddleware>,
}

impl<K: Hash + Eq + Clone, T: CountTable<K>, C: Clock + Clone> Limiter<K, T, C> {
    pub(crate) fn new(quota: Quota, table: T, (clock, share): (&C, &Share)) -> Limiter<K, T, C> {
        let table = Arc::new(table);
        let peeking = ReadOnlyTable(Arc::clone(&table), PhantomData);
        Limiter {
            counting: RateLimiter::new(quota, CountingTable(Arc::clone(&table)), clock.clone()),
            peeking: RateLimiter::new(quota, peeking, clock.clone()),
            share: share.clone(),
            at_once: quota.burst_size(),
            began: clock.now(),
            clock: clock.clone(),
            table,
        }
    }

    /// Counts a call.
    pub(crate) fn check_key(&self, key: &K) -> RateDecision<C> {
        let cells = self.share.cells(self.at_once);
        // A call never takes more cells than the limit has in total, so the other error does not occur.
        let counted = self.counting.check_key_n(key, cells);
        (
            cells,
            counted.unwrap_or_else(|_| self.counting.check_key(key)),
        )
    }

    /// Returns the decision that [`Limiter::check_key`] would make now. Counts nothing and adds no key.
    pub(crate) fn peek_key(&self, key: &K) -> RateDecision<C> {
        let cells = self.share.cells(self.at_once);
        let peeked = self.peeking.check_key_n(key, cells);
        (
            cells,
            peeked.unwrap_or_else(|_| self.peeking.check_key(key)),
        )
    }

    /// Merges the count of other processes: the key is not full before this time has passed.
    pub(crate) fn raise_full_at(&self, key: &K, missing: Duration) {
        let full_at = self.clock.now().duration_since(self.began) + Nanos::from(missing);
        let taken_over = self.table.measure_and_replace(key, |current| {
            Ok::<_, Infallible>(((), current.map_or(full_at, |current| current.max(full_at))))
        });
        match taken_over {
            Ok(()) => {}
        }
    }

    /// Forgets the keys that are full again, and releases their memory.
    pub(crate) fn sweep(&self) {
        self.counting.retain_recent();
        self.counting.shrink_to_fit();
    }

    /// Returns the table of counts.
    pub(crate) fn table(&self) -> &T {
        &self.table
    }
}

/// The table, written by every decision that lets a call through.
struct CountingTable<T>(Arc<T>);

impl<T: StateStore> StateStore for CountingTable<T> {
    type Key = T::Key;

    fn measure_and_replace<R, F, E>(&self, key: &T::Key, decide: F) -> Result<R, E>
    where
        F: Fn(Option<Nanos>) -> Result<(R, Nanos), E>,
    {
        self.0.measure_and_replace(key, decide)
    }
}

impl<K: Hash + Eq + Clone, T: CountTable<K>> ShrinkableKeyedStateStore<K> for CountingTable<T> {
    fn retain_recent(&self, drop_below: Nanos) {
        self.0.retain_recent(drop_below);
    }

    fn shrink_to_fit(&self) {
        self.0.shrink_to_fit();
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The same table, only read.
struct ReadOnlyTable<K, T>(Arc<T>, PhantomData<fn(K)>);

impl<K: Hash + Eq + Clone, T: CountTable<K>> StateStore for ReadOnlyTable<K, T> {
    type Key = K;

    fn measure_and_replace<R, F, E>(&self, key: &K, decide: F) -> Result<R, E>
    where
        F: Fn(Option<Nanos>) -> Result<(R, Nanos), E>,
    {
        decide(self.0.full_at(key)).map(|(decision, _)| decision)
    }
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "a test tells how much it has checked")]
mod tests {
    use std::num::NonZeroU32;

    use std::time::Duration;

    use governor::clock::FakeRelativeClock;
    use shared::oracle::OracleLimit;
    use shared::{CountLimit, TakeRequest};

    use super::*;

    #[test]
    fn concurrent_peeks_do_not_change_the_number_of_admitted_calls() {
        let quota = Quota::per_minute(NonZeroU32::new(10_000).unwrap());
        let table = GrowingTable::with_hasher(RandomState::default());
        let clock = FakeRelativeClock::default();
        let limiter = Limiter::new(quota, table, (&clock, &Share::default()));
        let counted = || {
            (0..5000)
                .filter(|_| limiter.check_key(&"a").1.is_ok())
                .count()
        };
        let peeked = || {
            (0..5000)
                .filter(|_| limiter.peek_key(&"a").1.is_ok())
                .count()
        };
        let let_through: usize = std::thread::scope(|scope| {
            let counting: Vec<_> = (0..4).map(|_| scope.spawn(counted)).collect();
            let peeking: Vec<_> = (0..4).map(|_| scope.spawn(peeked)).collect();
            for peeking in peeking {
                peeking.join().unwrap();
            }
            counting
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(let_through, 10_000);
        assert!(limiter.peek_key(&"a").1.is_err());
    }

    /// The same oracle checks this limiter and the limiter that processes share.
    #[test]
    fn the_limiter_decides_like_the_oracle() {
        let is_full = std::env::var_os("CHATGATE_LOAD").is_some_and(|load| load == "full");
        let decisions = if is_full { 200_000 } else { 4000 };
        let one = TakeRequest {
            needed: 1,
            wanted: 0,
            replicas: 1,
        };
        let mut state = 1_u64;
        let mut random = |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut refused = 0;
        // Only limits whose intervals are whole microseconds.
        for per_minute in [1, 3, 60, 6000, 60_000] {
            let per_minute = NonZeroU32::new(per_minute).unwrap();
            let limit = CountLimit::per(per_minute, Duration::from_secs(60));
            let (clock, mut oracle) = (FakeRelativeClock::default(), OracleLimit::new(limit));
            let table = GrowingTable::with_hasher(RandomState::default());
            let shared_by = (&clock, &Share::default());
            let limiter = Limiter::new(Quota::per_minute(per_minute), table, shared_by);
            let mut at_us = 0;
            for _ in 0..decisions {
                // Somewhat more often than calls become available again, and occasionally much later.
                let most = limit.interval_us * if random(500) == 0 { 100 } else { 1 };
                let passed = random(most);
                clock.advance(Duration::from_micros(passed));
                at_us += passed;
                let expected = oracle.take(at_us, one);
                match limiter.check_key(&"a").1 {
                    Ok(after) => {
                        let remaining = (expected.cells, expected.remaining);
                        assert_eq!((1, after.remaining_burst_capacity()), remaining);
                    }
                    Err(not_until) => {
                        refused += 1;
                        let wait = not_until.wait_time_from(clock.now());
                        assert_eq!((0, wait), (expected.cells, expected.wait));
                    }
                }
            }
        }
        println!("{} decisions, {refused} of them refusals", 5 * decisions);
        assert!(refused > decisions / 2, "{refused}");
    }
}
