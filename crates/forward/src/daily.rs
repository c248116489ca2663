//! Counts calls per day: one counter for each access, exact in memory and stored in the store.
//!
//! No call writes to the disk. The store knows how many calls of the day an access has been *given*: the calls that were made, and
//! a block that was reserved in advance. A call takes one out of the block in memory. When half of the block is used, the next
//! block is reserved while calls continue. After a crash the rest of the block counts as made, so that a restart admits at most one
//! block too few and never a call too many. A clean shutdown gives the rest back. If several replicas share the store, calls given
//! to other replicas count here as made.

mod counter;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use adapter::{Code, Error};
use parking_lot::RwLock;
use store::{Access, DailyCount, Store, StoreError};
use tokio::time::Instant;

use crate::share::Share;
use counter::{CountOutcome, Counter};

/// Seconds of a day. UTC days always have this length here: a leap second belongs to the second before it.
pub const DAY_S: i64 = 24 * 60 * 60;

/// A block is the limit divided by this number. A crash may cost an access one block.
const BLOCK_SHARE: u32 = 20;

/// Maximum number of calls reserved at a time. At 10,000 calls a second this is one write in 50 ms.
const BLOCK_CALLS_MAX: u32 = 1000;

/// Longest wait of a call for the next block when no reserved calls remain. The disk takes milliseconds. A call that waits longer
/// is rejected with Retry-After.
const BLOCK_WAIT_MAX: Duration = Duration::from_secs(2);

/// The name of the limit in messages.
pub(crate) const PER_DAY: &str = "limit per day";

/// Value of Retry-After in seconds if the store is not writable.
const STORE_RETRY_S: u32 = 5;

/// The clock; seconds since 1970, UTC.
pub type TimeOfDay = Box<dyn Fn() -> i64 + Send + Sync>;

/// The state of a limit per day after a call has been counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayState {
    /// Calls per day.
    pub per_day: u32,
    /// Calls that remain.
    pub remaining: u32,
    /// Seconds until all calls are available again.
    pub reset_s: u32,
}

/// The daily counts of one gateway.
pub struct DailyLimits {
    store: Arc<Store>,
    clock: TimeOfDay,
    counters: RwLock<HashMap<String, Arc<Counter>>>,
    /// The day of the last sweep. Expired counts appear only once a day, and a sweep delays every call that is being counted.
    swept: AtomicU32,
}

impl DailyLimits {
    /// Continues with the counts in the store.
    ///
    /// # Errors
    /// The store can't be read.
    pub async fn open(store: Arc<Store>, clock: TimeOfDay) -> Result<DailyLimits, StoreError> {
        let counts = store.daily_counts(day_of(clock())).await?;
        let counters = counts.into_iter().map(|count| {
            let counter = Counter::given(count.day, count.given);
            (count.access, Arc::new(counter))
        });
        Ok(DailyLimits {
            counters: RwLock::new(counters.collect()),
            swept: AtomicU32::default(),
            store,
            clock,
        })
    }

    /// Counts a call of an access and returns the state of its limit, if it has one.
    pub async fn count(&self, access: &Access) -> (Option<DayState>, Result<(), Error>) {
        let Some(per_day) = access.limits.per_day else {
            return (None, Ok(()));
        };
        let now = (self.clock)();
        let (used, counted) = self.take(&access.name, per_day.get(), now).await;
        (Some(state(per_day.get(), used, now)), counted)
    }

    /// Counts one call and returns the number of calls so far.
    async fn take(&self, access: &str, per_day: u32, now: i64) -> (u32, Result<(), Error>) {
        let (today, counter) = (day_of(now), self.counter(access));
        let until = Instant::now() + BLOCK_WAIT_MAX;
        loop {
            match counter.take(today, per_day) {
                CountOutcome::Counted { used, remaining } => {
                    if remaining <= self.block(per_day) / 2 && used + remaining < per_day {
                        self.reserve_block(&counter, access, (today, per_day));
                    }
                    return (used, Ok(()));
                }
                CountOutcome::LimitReached { used } => return (used, Err(used_up(now))),
                CountOutcome::Closed { used } => return (used, Err(not_kept())),
                CountOutcome::NeedsBlock { used } => {
                    let block = counter.next_block();
                    self.reserve_block(&counter, access, (today, per_day));
                    if !block.arrives_before(until).await {
                        return (used, Err(not_kept()));
                    }
                }
            }
        }
    }

    /// Returns the state of the access's limit without counting.
    #[must_use]
    pub fn peek(&self, access: &Access) -> Option<DayState> {
        let per_day = access.limits.per_day?.get();
        let now = (self.clock)();
        let counters = self.counters.read();
        let counter = counters.get(&access.name);
        let used = counter.map_or(0, |counter| counter.used(day_of(now)));
        Some(state(per_day, used, now))
    }

    /// Returns the result that [`DailyLimits::count`] would give now if the store is writable. Counts nothing.
    pub(crate) fn peek_decision(&self, access: &Access) -> Option<(DayState, Result<(), Error>)> {
        let state = self.peek(access)?;
        let free = match state.remaining {
            0 => Err(used_up((self.clock)())),
            _ => Ok(()),
        };
        Some((state, free))
    }

    /// Forgets the counts of past days. Has to be called every few seconds.
    pub fn sweep(&self) {
        let today = day_of((self.clock)());
        if self.swept.swap(today, Ordering::Relaxed) == today {
            return;
        }
        let mut counters = self.counters.write();
        // A counter that a caller holds may be about to count.
        counters.retain(|_, counter| !counter.is_expired(today) || Arc::strong_count(counter) > 1);
    }

    /// Ends the counting and gives unused reserved calls back. Later calls are rejected with Retry-After.
    ///
    /// # Errors
    /// The store is not writable. Then the reserved calls count as made.
    pub async fn close(&self) -> Result<(), StoreError> {
        let mut unused = Vec::new();
        for (access, counter) in self.all() {
            let (day, given) = counter.close().await;
            unused.push(DailyCount { access, day, given });
        }
        self.store.return_daily_calls(&unused).await
    }

    /// Reserves the next block in a separate task, so that the caller may disconnect. Only one such task runs at a time.
    fn reserve_block(&self, counter: &Arc<Counter>, access: &str, (today, per_day): (u32, u32)) {
        let Some(refill) = Counter::start_refill(counter) else {
            return;
        };
        let (store, access) = (Arc::clone(&self.store), access.to_owned());
        let block = self.block(per_day);
        tokio::spawn(async move {
            let Some((day, calls)) = refill.calls_needed(today, per_day, block) else {
                return refill.end(true);
            };
            let taken = store.take_daily_block(&access, day, (calls, per_day)).await;
            match &taken {
                Ok(block) => refill.add_block(block),
                Err(error) => {
                    tracing::error!(%error, access, "the calls of the day can't be counted in the store");
                }
            }
            refill.end(taken.is_ok());
        });
    }

    /// Returns the share of the other limits that this process admits, based on the same store.
    pub(crate) fn share(&self) -> Share {
        Share::of_store(&self.store)
    }

    fn block(&self, per_day: u32) -> u32 {
        block(per_day, self.store.replica_count())
    }

    fn counter(&self, access: &str) -> Arc<Counter> {
        let counters = self.counters.read();
        if let Some(counter) = counters.get(access) {
            return Arc::clone(counter);
        }
        drop(counters);
        let mut counters = self.counters.write();
        Arc::clone(counters.entry(access.to_owned()).or_default())
    }

    fn all(&self) -> Vec<(String, Arc<Counter>)> {
        let counters = self.counters.read();
        let all = counters.iter();
        all.map(|(access, counter)| (access.clone(), Arc::clone(counter)))
            .collect()
    }
}

/// Returns how many calls each of several replicas reserves at a time. Together they hold back no more than one replica would.
fn block(per_day: u32, replicas: u32) -> u32 {
    (per_day / BLOCK_SHARE / replicas).clamp(1, BLOCK_CALLS_MAX)
}

fn day_of(now: i64) -> u32 {
    u32::try_from(now.div_euclid(DAY_S)).unwrap_or(0)
}

fn until_midnight_s(now: i64) -> u32 {
    u32::try_from(DAY_S - now.rem_euclid(DAY_S)).unwrap_or(u32::MAX)
}

fn state(per_day: u32, used: u32, now: i64) -> DayState {
    DayState {
        per_day,
        remaining: per_day.saturating_sub(used),
        reset_s: until_midnight_s(now),
    }
}

fn used_up(now: i64) -> Error {
    Error::refused(Code::RateLimited)
        .because(PER_DAY)
        .retry_after(until_midnight_s(now))
}

/// The error for a call that could not be counted. It is not admitted, because a lost count would admit more calls than the limit.
fn not_kept() -> Error {
    Error::refused(Code::Overloaded)
        .because("the calls of the day can't be counted in the store")
        .retry_after(STORE_RETRY_S)
}
