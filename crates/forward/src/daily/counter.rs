//! Counts one access's calls of a day, and the calls that may be made before the store has to be asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use store::DailyBlock;
use tokio::sync::watch;
use tokio::time::Instant;

/// Set in `used` when counting has ended.
const CLOSED: u64 = 1 << 63;

/// A day and a number of calls in one word, so that both change together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DayCount {
    day: u32,
    calls: u32,
}

impl DayCount {
    fn word(self) -> u64 {
        u64::from(self.day) << 32 | u64::from(self.calls)
    }

    fn from_word(word: u64) -> DayCount {
        let half = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        DayCount {
            day: half((word & !CLOSED) >> 32),
            calls: half(word),
        }
    }

    /// Returns the calls if they are of this day, and otherwise zero.
    fn calls_on(self, day: u32) -> u32 {
        if self.day == day { self.calls } else { 0 }
    }
}

/// The counter of one access.
#[derive(Debug)]
pub(super) struct Counter {
    /// Calls made.
    used: AtomicU64,
    /// Calls given by the store: the calls that were made, and the calls that may still be made without asking.
    given: AtomicU64,
    /// True while a block is being reserved.
    is_busy: AtomicBool,
    /// The number of requests for a block, and whether the last one succeeded.
    blocks: watch::Sender<(u64, bool)>,
}

/// The result of counting a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum CountOutcome {
    /// The call is counted. `remaining` further calls may follow without asking the store.
    Counted { used: u32, remaining: u32 },
    /// The limit is reached.
    LimitReached { used: u32 },
    /// The limit is not reached, but the store has to be asked before the call is counted.
    NeedsBlock { used: u32 },
    /// Counting has ended.
    Closed { used: u32 },
}

impl Default for Counter {
    fn default() -> Counter {
        Counter::given(0, 0)
    }
}

impl Counter {
    /// Starts with this number of given calls on a day. All of them count as used, because a process that ended without giving any
    /// back has used them.
    pub(super) fn given(day: u32, calls: u32) -> Counter {
        let word = DayCount { day, calls }.word();
        Counter {
            used: AtomicU64::new(word),
            given: AtomicU64::new(word),
            is_busy: AtomicBool::new(false),
            blocks: watch::Sender::new((0, true)),
        }
    }

    /// Counts one call.
    pub(super) fn take(&self, today: u32, per_day: u32) -> CountOutcome {
        let mut word = self.used.load(Ordering::SeqCst);
        loop {
            let given = DayCount::from_word(self.given.load(Ordering::SeqCst));
            let day = effective_day(DayCount::from_word(word), given, today);
            let (used, given) = (DayCount::from_word(word).calls_on(day), given.calls_on(day));
            if word & CLOSED != 0 {
                return CountOutcome::Closed { used };
            }
            if used >= per_day {
                return CountOutcome::LimitReached { used };
            }
            if used >= given {
                return CountOutcome::NeedsBlock { used };
            }
            let next = DayCount {
                day,
                calls: used + 1,
            };
            let swapped = self.used.compare_exchange_weak(
                word,
                next.word(),
                Ordering::SeqCst,
                Ordering::SeqCst,
            );
            match swapped {
                Ok(_) => {
                    return CountOutcome::Counted {
                        used: used + 1,
                        remaining: given - used - 1,
                    };
                }
                Err(changed) => word = changed,
            }
        }
    }

    /// Returns the calls made on this day.
    pub(super) fn used(&self, today: u32) -> u32 {
        let (used, given) = self.load();
        used.calls_on(effective_day(used, given, today))
    }

    fn load(&self) -> (DayCount, DayCount) {
        let of_day = |word: &AtomicU64| DayCount::from_word(word.load(Ordering::SeqCst));
        (of_day(&self.used), of_day(&self.given))
    }

    /// Returns whether all counts are of past days and no block is being reserved.
    pub(super) fn is_expired(&self, today: u32) -> bool {
        let (used, given) = self.load();
        let day = effective_day(used, given, today);
        used.day != day && given.day != day && !self.is_busy.load(Ordering::SeqCst)
    }

    /// Ends the counting after a running reservation, and returns the last day with its given but unused calls.
    pub(super) async fn close(&self) -> (u32, u32) {
        self.used.fetch_or(CLOSED, Ordering::SeqCst);
        let mut blocks = self.blocks.subscribe();
        while self.is_busy.load(Ordering::SeqCst) {
            if blocks.changed().await.is_err() {
                break;
            }
        }
        // Read only now, because the block that was reserved in the meantime also brought the counts of other replicas.
        let (used, given) = self.load();
        let made = used.calls_on(given.day);
        (given.day, given.calls.saturating_sub(made))
    }

    /// Returns a handle for the next block. It has to be requested before the block is, so that the arrival is not missed.
    pub(super) fn next_block(&self) -> NextBlock {
        NextBlock(self.blocks.subscribe())
    }

    /// Returns the right to reserve a block, unless it is already taken.
    pub(super) fn start_refill(counter: &Arc<Counter>) -> Option<BlockRefill> {
        let was_busy = counter.is_busy.swap(true, Ordering::SeqCst);
        (!was_busy).then(|| BlockRefill {
            counter: Arc::clone(counter),
            has_ended: false,
        })
    }
}

/// Returns the day that is counted. This is today, or tomorrow if tomorrow has already begun for a faster call or before the clock
/// was set back. A later day came from a wrong clock and does not block today.
fn effective_day(used: DayCount, given: DayCount, today: u32) -> u32 {
    let tomorrow = today.saturating_add(1);
    if used.day == tomorrow || given.day == tomorrow {
        tomorrow
    } else {
        today
    }
}

/// A handle for waiting for a block.
pub(super) struct NextBlock(watch::Receiver<(u64, bool)>);

impl NextBlock {
    /// Returns whether the store was written before that time. The calls of the block may be used up already.
    pub(super) async fn arrives_before(mut self, until: Instant) -> bool {
        let changed = tokio::time::timeout_at(until, self.0.changed()).await;
        matches!(changed, Ok(Ok(()))) && self.0.borrow().1 && Instant::now() < until
    }
}

/// The right to reserve a block. If it is dropped before its end, because its task was dropped, the waiting calls learn that there
/// is no block.
pub(super) struct BlockRefill {
    counter: Arc<Counter>,
    has_ended: bool,
}

impl BlockRefill {
    /// Returns the day and the number of further calls that complete a whole reserved block; `None` if half of a block is still
    /// reserved, or if counting has ended.
    pub(super) fn calls_needed(&self, today: u32, per_day: u32, block: u32) -> Option<(u32, u32)> {
        // The refill is marked before this read, and `close` sets the mark before it waits for refills, so one of the two sees the
        // other.
        if self.counter.used.load(Ordering::SeqCst) & CLOSED != 0 {
            return None;
        }
        let (used, given) = self.counter.load();
        let day = effective_day(used, given, today);
        let (used, given) = (used.calls_on(day), given.calls_on(day));
        let wanted = used.saturating_add(block).min(per_day);
        let is_low = given.saturating_sub(used) <= block / 2;
        (is_low && wanted > given).then(|| (day, wanted - given))
    }

    /// Adds a block that the store has given. Calls given to other replicas since the last block count as made; calls that they
    /// gave back are free again.
    pub(super) fn add_block(&self, block: &DailyBlock) {
        let DailyBlock { day, calls, given } = *block;
        let (before, known) = (given - calls, self.counter.load().1.calls_on(day));
        if before != known {
            let others = |word: u64| {
                let made = (DayCount::from_word(word).calls_on(day) + before).saturating_sub(known);
                Some(DayCount { day, calls: made }.word() | (word & CLOSED))
            };
            // Set before `given`, so that no call takes what belongs to other replicas.
            let used = &self.counter.used;
            let _ = used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, others);
        }
        let word = DayCount { day, calls: given }.word();
        self.counter.given.store(word, Ordering::SeqCst);
    }

    /// Ends the refill, and notifies the waiting calls. The next refill may begin.
    pub(super) fn end(mut self, is_written: bool) {
        self.has_ended = true;
        self.finish(is_written);
    }

    fn finish(&self, is_written: bool) {
        self.counter.is_busy.store(false, Ordering::SeqCst);
        self.counter
            .blocks
            .send_modify(|(number, written)| (*number, *written) = (*number + 1, is_written));
    }
}

impl Drop for BlockRefill {
    fn drop(&mut self) {
        if !self.has_ended {
            self.finish(false);
        }
    }
}
