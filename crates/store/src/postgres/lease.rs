//! The lease of this replica: until when it counts as alive by its own clock, the offset of the database's clock, and the number of
//! replicas.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Safety margin by which this process considers its lease over earlier than the database does, because its clock may lag.
const MARGIN: Duration = Duration::from_secs(1);

/// Maximum difference of clocks that counts as zero, because it may be the duration of the query. In milliseconds.
const SAME_TIME_MS: i64 = 1000;

/// Maximum difference of clocks, in milliseconds, before a warning: a larger one mixes up the order of log entries.
pub(super) const CLOCK_MAX_MS: i64 = 5000;

const DAY_MS: i64 = 86_400_000;

/// Returns the milliseconds since 1970 by this machine's clock.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

/// The lease of one replica.
pub(crate) struct ReplicaLease {
    length: Duration,
    term: Mutex<LeaseTerm>,
    ahead_ms: AtomicI64,
    replicas: AtomicU32,
    /// The number of different configurations among the live replicas.
    configurations: AtomicU32,
}

/// The current term of a lease.
struct LeaseTerm {
    /// The time at which the last successful renewal was requested.
    asked_at: Instant,
    /// The number of times that the lease has expired. Other replicas may have closed rows from earlier terms.
    number: u64,
}

impl ReplicaLease {
    /// Makes a lease of this length that was requested at this time.
    pub(super) fn new(length: Duration, asked_at: Instant) -> ReplicaLease {
        ReplicaLease {
            length,
            term: Mutex::new(LeaseTerm {
                asked_at,
                number: 0,
            }),
            ahead_ms: AtomicI64::new(0),
            replicas: AtomicU32::new(1),
            configurations: AtomicU32::new(1),
        }
    }

    pub(super) fn length(&self) -> Duration {
        self.length
    }

    /// Records a successful renewal that was requested at `asked_at`. If the lease had expired before `now`, another term begins.
    /// `ahead_ms` is how far the database's clock is ahead.
    pub(super) fn renew(&self, (asked_at, now): (Instant, Instant), ahead_ms: i64) {
        let counts = if ahead_ms.abs() > SAME_TIME_MS {
            ahead_ms
        } else {
            0
        };
        let before = self.ahead_ms.swap(counts, Ordering::Relaxed);
        let is_far = |ms: i64| ms.abs() > CLOCK_MAX_MS;
        match (is_far(before), is_far(counts)) {
            (false, true) => tracing::warn!(
                ahead_ms = counts,
                "the database's clock differs from this machine's by more than five seconds: accesses, tokens and rows use the \
                 database's clock"
            ),
            (true, false) => tracing::warn!("the database's clock and this machine's agree again"),
            _ => {}
        }
        let mut term = self.lock();
        term.number += u64::from(!self.holds(&term, now));
        term.asked_at = asked_at;
    }

    pub(super) fn set_replicas(&self, count: u32) {
        self.replicas.store(count.max(1), Ordering::Relaxed);
    }

    /// Returns the number of different configurations among the live replicas.
    pub(crate) fn configurations(&self) -> u32 {
        self.configurations.load(Ordering::Relaxed)
    }

    pub(super) fn set_configurations(&self, count: u32) {
        self.configurations.store(count.max(1), Ordering::Relaxed);
    }

    /// Returns the time since the last renewal. The data in memory may be this old.
    pub(crate) fn age(&self) -> Duration {
        self.lock().asked_at.elapsed()
    }

    /// Returns the number of live replicas, including this one.
    pub(crate) fn replicas(&self) -> u32 {
        self.replicas.load(Ordering::Relaxed)
    }

    /// Returns whether no other replica can have taken this one for dead.
    pub(crate) fn is_good(&self, now: Instant) -> bool {
        self.holds(&self.lock(), now)
    }

    /// Returns the number of the current term.
    pub(super) fn term(&self) -> u64 {
        self.lock().number
    }

    /// Returns whether no other replica can have taken this one for dead since this term.
    pub(super) fn is_good_since(&self, number: u64, now: Instant) -> bool {
        let term = self.lock();
        self.holds(&term, now) && term.number == number
    }

    /// Ends the term, because another life with its own lease begins.
    pub(super) fn end_term(&self) {
        self.lock().number += 1;
    }

    fn holds(&self, term: &LeaseTerm, now: Instant) -> bool {
        now < term.asked_at + self.length.saturating_sub(MARGIN)
    }

    fn lock(&self) -> MutexGuard<'_, LeaseTerm> {
        // No change of the term can panic halfway.
        self.term.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many days the database is ahead of this process at this time of its clock, in milliseconds since 1970.
    pub(super) fn ahead_days(&self, ms: i64) -> i64 {
        self.database_ms(ms).div_euclid(DAY_MS) - ms.div_euclid(DAY_MS)
    }

    /// Returns how many seconds the database's clock is ahead.
    pub(crate) fn ahead_s(&self) -> i64 {
        self.ahead_ms.load(Ordering::Relaxed) / 1000
    }

    /// Converts a time of this process to the database's clock. Both are in milliseconds since 1970.
    pub(crate) fn database_ms(&self, ms: i64) -> i64 {
        ms.saturating_add(self.ahead_ms.load(Ordering::Relaxed))
    }

    /// Converts a time of the database's clock to this process's. Both are in milliseconds since 1970.
    pub(crate) fn process_ms(&self, ms: i64) -> i64 {
        ms.saturating_sub(self.ahead_ms.load(Ordering::Relaxed))
    }
}
