//! How long this replica counts as being there, by its own clock, how far the database's clock is ahead of it, and how many
//! replicas there are.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How much earlier than the database this process takes its lease to be over, for what its clock may lag.
const MARGIN: Duration = Duration::from_secs(1);

/// A difference of clocks that may be the time which a question took: it counts as none. In milliseconds.
const SAME_TIME_MS: i64 = 1000;

/// A difference of clocks that somebody should mend, in milliseconds: rows of logs are told apart by less.
pub(super) const CLOCK_MAX_MS: i64 = 5000;

const DAY_MS: i64 = 86_400_000;

/// Milliseconds since 1970 by this machine's clock.
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
    /// How many different configurations those that are alive have.
    configurations: AtomicU32,
}

/// How long a lease holds, and for how long it has.
struct LeaseTerm {
    /// When the last renewal was asked for that the database has granted.
    asked_at: Instant,
    /// How often it was over. Others may have closed what was begun before that.
    number: u64,
}

impl ReplicaLease {
    /// A lease of this length, which was asked for at this moment.
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

    /// It is known now that the lease was renewed, as was asked for at a moment before. If it was over meanwhile, another term
    /// begins. The database's clock is so many milliseconds ahead.
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
                "the database's clock differs from this machine's by more than five seconds: accesses, tokens and rows go by the database's"
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

    /// How many different configurations the live replicas have.
    pub(crate) fn configurations(&self) -> u32 {
        self.configurations.load(Ordering::Relaxed)
    }

    pub(super) fn set_configurations(&self, count: u32) {
        self.configurations.store(count.max(1), Ordering::Relaxed);
    }

    /// How long it is since the last renewal: what is in memory may be as old as that.
    pub(crate) fn age(&self) -> Duration {
        self.lock().asked_at.elapsed()
    }

    /// Replicas that are alive, this one included.
    pub(crate) fn replicas(&self) -> u32 {
        self.replicas.load(Ordering::Relaxed)
    }

    /// Whether nobody can have taken this replica for gone.
    pub(crate) fn is_good(&self, now: Instant) -> bool {
        self.holds(&self.lock(), now)
    }

    /// Its term by now.
    pub(super) fn term(&self) -> u64 {
        self.lock().number
    }

    /// Whether nobody can have taken this replica for gone since it was in this term.
    pub(super) fn is_good_since(&self, number: u64, now: Instant) -> bool {
        let term = self.lock();
        self.holds(&term, now) && term.number == number
    }

    /// Another life begins, with a lease of its own.
    pub(super) fn end_term(&self) {
        self.lock().number += 1;
    }

    fn holds(&self, term: &LeaseTerm, now: Instant) -> bool {
        now < term.asked_at + self.length.saturating_sub(MARGIN)
    }

    fn lock(&self) -> MutexGuard<'_, LeaseTerm> {
        // No change of it can panic half way.
        self.term.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many days the database is ahead of this process, whose clock says this in milliseconds since 1970.
    pub(super) fn ahead_days(&self, ms: i64) -> i64 {
        self.database_ms(ms).div_euclid(DAY_MS) - ms.div_euclid(DAY_MS)
    }

    /// How far the database's clock is ahead, in seconds.
    pub(crate) fn ahead_s(&self) -> i64 {
        self.ahead_ms.load(Ordering::Relaxed) / 1000
    }

    /// A time of this process by the database's clock, both in milliseconds since 1970.
    pub(crate) fn database_ms(&self, ms: i64) -> i64 {
        ms.saturating_add(self.ahead_ms.load(Ordering::Relaxed))
    }
}
