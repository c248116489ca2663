//! Buckets of guesses that refill with time, one for each key, in bounded memory.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;
use governor::{NotUntil, Quota};
use parking_lot::Mutex;

use crate::gcra::{CountTable, Limiter};
use crate::share::Share;

/// The period of a bucket: ten minutes, as the contract counts guesses.
pub(super) const WINDOW: Duration = Duration::from_secs(10 * 60);

/// The time since some start. It never goes back.
pub type MonotonicClock = Arc<dyn Fn() -> Duration + Send + Sync>;

#[derive(Clone)]
struct BucketClock(MonotonicClock);

impl Clock for BucketClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        (self.0)()
    }
}

/// Returns a quota that never admits more than `most` in any window, wherever the window begins. Three quarters are available at
/// the same time, and the rest one by one.
///
/// A full bucket admits `at_once` guesses and then one each interval. So the interval is the window divided by the rest plus one.
pub(super) fn within_window(most: NonZeroU32) -> Quota {
    let rest = most.get() / 4;
    let at_once = NonZeroU32::new(most.get() - rest).unwrap_or(most);
    // One nanosecond more than the quotient, so that the first guess of the next window is outside of this one.
    quota(at_once, WINDOW / (rest + 1) + Duration::from_nanos(1))
}

/// Returns a quota that admits `most` at the same time, and all of them again after a window.
pub(super) fn at_once(most: NonZeroU32) -> Quota {
    quota(most, WINDOW / most.get())
}

fn quota(at_once: NonZeroU32, interval: Duration) -> Quota {
    let quota = Quota::with_period(interval);
    let quota =
        quota.expect("a window divided by at most four billion tries is at least a nanosecond");
    quota.allow_burst(at_once)
}

/// One bucket for each key. Exact under threads: one lock is held for a lookup.
pub(super) struct Buckets<K: Copy + Ord + Hash> {
    clock: BucketClock,
    interval: Duration,
    limiter: Limiter<K, BoundedTable<K>, BucketClock>,
}

/// The decision of a bucket about one more guess: the cells taken, or the time to wait.
pub(super) type BucketTake = Result<NonZeroU32, Duration>;

impl<K: Copy + Ord + Hash> Buckets<K> {
    pub(super) fn new(
        quota: Quota,
        entries_max: usize,
        (clock, share): (&MonotonicClock, &Share),
    ) -> Buckets<K> {
        let clock = BucketClock(Arc::clone(clock));
        let table = BoundedTable {
            entries_max,
            entries: Mutex::new(Entries {
                full_at: HashMap::new(),
                in_order: BTreeSet::new(),
            }),
        };
        Buckets {
            interval: quota.replenish_interval(),
            limiter: Limiter::new(quota, table, (&clock, share)),
            clock,
        }
    }

    /// Takes one guess.
    ///
    /// # Errors
    /// The time until a guess is available.
    pub(super) fn take(&self, key: K) -> BucketTake {
        let (cells, taken) = self.limiter.check_key(&key);
        match taken {
            Ok(_) => Ok(cells),
            Err(not_until) => Err(self.wait(&not_until)),
        }
    }

    /// Returns the remaining guesses, the maximum, and the decision that [`Buckets::take`] would make now.
    pub(super) fn peek(&self, key: &K) -> (u64, u64, BucketTake) {
        let (cells, looked) = self.limiter.peek_key(key);
        match looked {
            Ok(snapshot) => {
                let remaining = u64::from(snapshot.remaining_burst_capacity() / cells) + 1;
                let most = snapshot.quota().burst_size().get() / cells;
                (remaining, most.into(), Ok(cells))
            }
            Err(not_until) => {
                let most = not_until.quota().burst_size().get() / cells;
                (0, most.into(), Err(self.wait(&not_until)))
            }
        }
    }

    /// Gives back a guess that took this number of cells. Afterwards the bucket is as if the guess had never been taken.
    pub(super) fn refund(&self, key: K, cells: NonZeroU32) {
        let taken = self.interval * cells.get();
        self.limiter.table().refund(key, taken.into());
    }

    /// Forgets the keys whose buckets are full, and releases their memory.
    pub(super) fn sweep(&self) {
        self.limiter.sweep();
    }

    fn wait(&self, not_until: &NotUntil<Duration>) -> Duration {
        not_until.wait_time_from(self.clock.now())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.limiter.table().len()
    }
}

/// The counts of a bounded number of keys.
struct BoundedTable<K> {
    entries_max: usize,
    entries: Mutex<Entries<K>>,
}

/// The time at which the bucket of each key is full again, and the keys in that order.
struct Entries<K> {
    full_at: HashMap<K, Nanos>,
    in_order: BTreeSet<(Nanos, K)>,
}

impl<K: Copy + Ord + Hash> BoundedTable<K> {
    fn refund(&self, key: K, interval: Nanos) {
        let mut entries = self.entries.lock();
        if let Some(full_at) = entries.full_at.get(&key).copied() {
            entries.set(key, full_at.saturating_sub(interval), self.entries_max);
        }
    }
}

impl<K: Copy + Ord + Hash> StateStore for BoundedTable<K> {
    type Key = K;

    fn measure_and_replace<R, F, E>(&self, key: &K, decide: F) -> Result<R, E>
    where
        F: Fn(Option<Nanos>) -> Result<(R, Nanos), E>,
    {
        let mut entries = self.entries.lock();
        let (decision, full_at) = decide(entries.full_at.get(key).copied())?;
        entries.set(*key, full_at, self.entries_max);
        Ok(decision)
    }
}

impl<K: Copy + Ord + Hash> CountTable<K> for BoundedTable<K> {
    fn full_at(&self, key: &K) -> Option<Nanos> {
        self.entries.lock().full_at.get(key).copied()
    }
}

impl<K: Copy + Ord + Hash> ShrinkableKeyedStateStore<K> for BoundedTable<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        let mut entries = self.entries.lock();
        let is_full = |(full_at, _): &(Nanos, K)| *full_at <= drop_below;
        while entries.in_order.first().is_some_and(is_full) {
            entries.forget_first();
        }
    }

    fn shrink_to_fit(&self) {
        let mut entries = self.entries.lock();
        // Not with every sweep, because shrinking copies the table.
        if entries.full_at.capacity() / 4 > entries.full_at.len() {
            entries.full_at.shrink_to_fit();
        }
    }

    fn len(&self) -> usize {
        self.entries.lock().full_at.len()
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<K: Copy + Ord + Hash> Entries<K> {
    fn set(&mut self, key: K, full_at: Nanos, entries_max: usize) {
        match self.full_at.insert(key, full_at) {
            Some(before) => {
                self.in_order.remove(&(before, key));
            }
            // The key whose bucket would be full first makes room. An empty bucket is removed last, so that a flood of names has to
            // empty a flood of buckets to free one.
            None if self.in_order.len() >= entries_max => self.forget_first(),
            None => {}
        }
        self.in_order.insert((full_at, key));
    }

    fn forget_first(&mut self) {
        if let Some((_, key)) = self.in_order.pop_first() {
            self.full_at.remove(&key);
        }
    }
}
