//! How often in a day: a counter for each access, exact in memory and kept in the store.
//!
//! No call writes to the disk. The store knows how many calls of the day an access has been *given*: those that were made and a
//! block that was set aside ahead of need. A call takes one out of the block in memory; when half of it is gone, the next is
//! set aside while calls go on. After a crash the rest of the block counts as made, so that a restart admits a block too
//! few at most and never one too many; a clean stop gives the rest back. Where several replicas share the store, what others were
//! given counts here as made.

mod counter;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use adapter::{Code, Error};
use store::{Access, DailyCount, Store, StoreError};
use tokio::time::Instant;

use crate::share::Share;
use counter::{Counter, Taken};

/// Seconds of a day. UTC knows no others here: a leap second belongs to the second before it.
pub const DAY_S: i64 = 24 * 60 * 60;

/// A block is so small a part of the limit: what a crash may cost an access.
const BLOCK_SHARE: u32 = 20;

/// Most calls set aside at once. At 10,000 calls a second this is one write in 50 ms.
const BLOCK_CALLS_MAX: u32 = 1000;

/// How long a call waits for the next block when there is none left. The disk takes milliseconds; who waits longer is told
/// to come again rather than kept.
const BLOCK_WAIT_MAX: Duration = Duration::from_secs(2);

/// The limit by the name under which it is told.
pub(crate) const PER_DAY: &str = "limit per day";

/// When to come again if the store can't be written.
const STORE_RETRY_S: u32 = 5;

/// The time of day; seconds since 1970, UTC.
pub type TimeOfDay = Box<dyn Fn() -> i64 + Send + Sync>;

/// A limit per day after a call has been counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DayState {
    /// Calls per day.
    pub per_day: u32,
    /// Calls left.
    pub remaining: u32,
    /// Seconds until all of them are back.
    pub reset_s: u32,
}

/// The counts of one gateway.
pub struct DailyLimits {
    store: Arc<Store>,
    clock: TimeOfDay,
    counters: RwLock<HashMap<String, Arc<Counter>>>,
    /// The day of the last sweep: what is over changes once a day, and a sweep holds every call up that is counted.
    swept: AtomicU32,
}

impl DailyLimits {
    /// Goes on from what the store has.
    ///
    /// # Errors
    /// When the store can't be read.
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

    /// Counts a call of an access and tells the state of its limit, if it has one.
    pub async fn count(&self, access: &Access) -> (Option<DayState>, Result<(), Error>) {
        let Some(per_day) = access.limits.per_day else {
            return (None, Ok(()));
        };
        let now = (self.clock)();
        let (used, counted) = self.take(&access.name, per_day.get(), now).await;
        (Some(state(per_day.get(), used, now)), counted)
    }

    /// Counts one call and tells how many there are then.
    async fn take(&self, access: &str, per_day: u32, now: i64) -> (u32, Result<(), Error>) {
        let (today, counter) = (day_of(now), self.counter(access));
        let until = Instant::now() + BLOCK_WAIT_MAX;
        loop {
            match counter.take(today, per_day) {
                Taken::One { used, left } => {
                    if left <= self.block(per_day) / 2 && used + left < per_day {
                        self.set_aside(&counter, access, (today, per_day));
                    }
                    return (used, Ok(()));
                }
                Taken::AllUsed { used } => return (used, Err(used_up(now))),
                Taken::Closed { used } => return (used, Err(not_kept())),
                Taken::NoneSetAside { used } => {
                    let block = counter.next_block();
                    self.set_aside(&counter, access, (today, per_day));
                    if !block.came_before(until).await {
                        return (used, Err(not_kept()));
                    }
                }
            }
        }
    }

    /// The state of the access's limit as it is, without counting.
    #[must_use]
    pub fn look(&self, access: &Access) -> Option<DayState> {
        let per_day = access.limits.per_day?.get();
        let now = (self.clock)();
        let counters = self.counters.read().unwrap_or_else(PoisonError::into_inner);
        let counter = counters.get(&access.name);
        let used = counter.map_or(0, |counter| counter.used(day_of(now)));
        Some(state(per_day, used, now))
    }

    /// What [`DailyLimits::count`] would say now of a call, as long as the store can be written; counts nothing.
    pub(crate) fn look_at(&self, access: &Access) -> Option<(DayState, Result<(), Error>)> {
        let state = self.look(access)?;
        let free = match state.remaining {
            0 => Err(used_up((self.clock)())),
            _ => Ok(()),
        };
        Some((state, free))
    }

    /// Forgets the counts of days that are over. Call it every few seconds.
    pub fn sweep(&self) {
        let today = day_of((self.clock)());
        if self.swept.swap(today, Ordering::Relaxed) == today {
            return;
        }
        let mut counters = self
            .counters
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // One that somebody holds may be counted on in this moment.
        counters.retain(|_, counter| !counter.is_over(today) || Arc::strong_count(counter) > 1);
    }

    /// Ends the counting and gives back what was set aside and not used. Calls that come after it are told to come again.
    ///
    /// # Errors
    /// When the store can't be written; then what was set aside counts as made.
    pub async fn close(&self) -> Result<(), StoreError> {
        let mut unused = Vec::new();
        for (access, counter) in self.all() {
            let (day, given) = counter.close().await;
            unused.push(DailyCount { access, day, given });
        }
        self.store.return_daily_calls(&unused).await
    }

    /// Has the next block set aside, by a task of its own: one at a time, and whether or not the caller stays.
    fn set_aside(&self, counter: &Arc<Counter>, access: &str, (today, per_day): (u32, u32)) {
        let Some(refill) = Counter::start_refill(counter) else {
            return;
        };
        let (store, access) = (Arc::clone(&self.store), access.to_owned());
        let block = self.block(per_day);
        tokio::spawn(async move {
            let Some((day, calls)) = refill.wants(today, per_day, block) else {
                return refill.end(true);
            };
            let taken = store.take_daily_block(&access, day, (calls, per_day)).await;
            match &taken {
                Ok(block) => refill.give(block),
                Err(error) => {
                    tracing::error!(%error, access, "calls of the day can't be kept");
                }
            }
            refill.end(taken.is_ok());
        });
    }

    /// What part of the other limits this process admits, by the same store.
    pub(crate) fn share(&self) -> Share {
        Share::of_store(&self.store)
    }

    fn block(&self, per_day: u32) -> u32 {
        block(per_day, self.store.replica_count())
    }

    fn counter(&self, access: &str) -> Arc<Counter> {
        let counters = self.counters.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = counters.get(access) {
            return Arc::clone(counter);
        }
        drop(counters);
        let mut counters = self
            .counters
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        Arc::clone(counters.entry(access.to_owned()).or_default())
    }

    fn all(&self) -> Vec<(String, Arc<Counter>)> {
        let counters = self.counters.read().unwrap_or_else(PoisonError::into_inner);
        let all = counters.iter();
        all.map(|(access, counter)| (access.clone(), Arc::clone(counter)))
            .collect()
    }
}

/// How many calls each of so many replicas sets aside at once: together they keep back no more than one would.
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

/// Not counted is not admitted: a count that is lost would let more in than the limit says.
fn not_kept() -> Error {
    Error::refused(Code::Overloaded)
        .because("calls of the day can't be kept")
        .retry_after(STORE_RETRY_S)
}
