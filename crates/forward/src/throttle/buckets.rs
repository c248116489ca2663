//! Buckets that refill with time, one for each key, in memory that does not grow beyond a bound.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The time over which a budget is meant, in milliseconds: ten minutes, as the contract counts guesses.
pub(super) const WINDOW_MS: u64 = 10 * 60 * 1000;

/// How much there is at once, and how fast it comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    at_once: u64,
    each_ms: u64,
}

impl Bucket {
    /// Never more than `most` in any window, wherever it begins: three quarters at once, the rest trickles.
    ///
    /// Full, it gives `at_once`, and one each interval; so the interval is the window shared by what is left and one.
    pub(super) fn within_window(most: u32) -> Bucket {
        let most = u64::from(most.max(1));
        let at_once = (most * 3).div_ceil(4);
        // One millisecond more than the share, since time is cut to whole ones.
        let each_ms = WINDOW_MS.div_ceil(most - at_once + 1) + 1;
        Bucket { at_once, each_ms }
    }

    /// All of `most` at once, and all of them back after a window.
    pub(super) fn at_once(most: u32) -> Bucket {
        let at_once = u64::from(most.max(1));
        let each_ms = WINDOW_MS.div_ceil(at_once);
        Bucket { at_once, each_ms }
    }

    /// Whether one more fits when all will be there again at `full_at`; the error is the time until it does.
    fn judge(self, full_at: u64, now_ms: u64) -> Result<(), u64> {
        let ahead_max = (self.at_once - 1) * self.each_ms;
        match full_at.saturating_sub(now_ms).saturating_sub(ahead_max) {
            0 => Ok(()),
            wait_ms => Err(wait_ms),
        }
    }
}

/// One budget for each key. Exact under threads: one lock, held for a look-up.
pub(super) struct Buckets<K> {
    budget: Bucket,
    entries_max: usize,
    entries: Mutex<Entries<K>>,
}

/// For each key the time at which its budget will be full again, in milliseconds (GCRA), and the keys in that order.
struct Entries<K> {
    full_at: HashMap<K, u64>,
    in_order: BTreeSet<(u64, K)>,
}

impl<K: Copy + Ord + Hash> Buckets<K> {
    pub(super) fn new(budget: Bucket, entries_max: usize) -> Buckets<K> {
        let entries = Entries {
            full_at: HashMap::new(),
            in_order: BTreeSet::new(),
        };
        Buckets {
            budget,
            entries_max,
            entries: Mutex::new(entries),
        }
    }

    /// Takes one.
    ///
    /// # Errors
    /// The time until there is one to take, in milliseconds.
    pub(super) fn take(&self, key: K, now_ms: u64) -> Result<(), u64> {
        let mut entries = self.entries();
        let full_at = entries.full_at(&key);
        self.budget.judge(full_at, now_ms)?;
        let full_at = full_at.max(now_ms) + self.budget.each_ms;
        entries.set(key, full_at, self.entries_max);
        Ok(())
    }

    /// Whether there is one to take.
    ///
    /// # Errors
    /// The time until there is, in milliseconds.
    pub(super) fn judge(&self, key: &K, now_ms: u64) -> Result<(), u64> {
        let full_at = self.entries().full_at(key);
        self.budget.judge(full_at, now_ms)
    }

    /// How many there are to take now, and how many there are when nobody has taken any.
    pub(super) fn left(&self, key: &K, now_ms: u64) -> (u64, u64) {
        let full_at = self.entries().full_at(key);
        let Bucket { at_once, each_ms } = self.budget;
        let taken = full_at.saturating_sub(now_ms).div_ceil(each_ms);
        (at_once.saturating_sub(taken), at_once)
    }

    /// Gives one back that was taken: the budget is as if it never had been.
    pub(super) fn give_back(&self, key: K) {
        let mut entries = self.entries();
        if let Some(full_at) = entries.full_at.get(&key).copied() {
            let full_at = full_at.saturating_sub(self.budget.each_ms);
            entries.set(key, full_at, self.entries_max);
        }
    }

    /// Forgets the keys whose budget is full, and gives memory back.
    pub(super) fn sweep(&self, now_ms: u64) {
        let mut entries = self.entries();
        while entries
            .in_order
            .first()
            .is_some_and(|(full_at, _)| *full_at <= now_ms)
        {
            entries.forget_first();
        }
        // Not with every sweep: shrinking copies the table.
        if entries.full_at.capacity() / 4 > entries.full_at.len() {
            entries.full_at.shrink_to_fit();
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let entries = self.entries();
        assert_eq!(entries.full_at.len(), entries.in_order.len());
        entries.full_at.len()
    }

    fn entries(&self) -> MutexGuard<'_, Entries<K>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Ord + Hash> Entries<K> {
    fn full_at(&self, key: &K) -> u64 {
        self.full_at.get(key).copied().unwrap_or(0)
    }

    fn set(&mut self, key: K, full_at: u64, entries_max: usize) {
        match self.full_at.insert(key, full_at) {
            Some(before) => {
                self.in_order.remove(&(before, key));
            }
            // Room is made by the key that would be forgotten next. A budget that is spent is forgotten last, so that
            // to free it by a flood of names costs a flood of spent budgets.
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
