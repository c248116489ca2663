//! The lease of this replica: until when it counts as alive by its own clock, the age of its data, the offset of the database's
//! clock, and the number of replicas.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

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

/// The current term of a lease: the time in which this replica has had its lease and current data without a break.
struct LeaseTerm {
    /// The time at which the last successful renewal was requested.
    asked_at: Instant,
    /// The time as of which the data in memory is current: the request of the last heartbeat whose changes are all in effect.
    current_at: Instant,
    /// The start of the term. Other replicas may have closed rows from before, and may have stopped to wait for this one to apply
    /// their changes.
    began: Instant,
}

impl ReplicaLease {
    /// Makes a lease of this length that was requested at this time, by a replica whose data is current.
    pub(super) fn new(length: Duration, asked_at: Instant) -> ReplicaLease {
        ReplicaLease {
            length,
            term: Mutex::new(LeaseTerm {
                asked_at,
                current_at: asked_at,
                began: asked_at,
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
        self.extend(now, |term| term.asked_at = asked_at);
    }

    /// Records that everything that the database had at `current_at` is in effect here since `now`. If the data had been too old
    /// before, another term begins.
    pub(super) fn set_current(&self, (current_at, now): (Instant, Instant)) {
        self.extend(now, |term| term.current_at = current_at);
    }

    fn extend(&self, now: Instant, extend: impl FnOnce(&mut LeaseTerm)) {
        let mut term = self.term.lock();
        if !self.holds(&term, now) {
            term.began = now;
        }
        extend(&mut term);
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

    /// Returns the age of the data in memory: it may lack changes that are younger than this.
    pub(crate) fn age(&self) -> Duration {
        self.term.lock().current_at.elapsed()
    }

    /// Returns the number of live replicas, including this one.
    pub(crate) fn replicas(&self) -> u32 {
        self.replicas.load(Ordering::Relaxed)
    }

    /// Returns whether no other replica can have taken this one for dead, and the data in memory is no older than a lease.
    pub(crate) fn is_valid(&self, now: Instant) -> bool {
        self.holds(&self.term.lock(), now)
    }

    /// Returns whether this has been so since this instant.
    pub(super) fn is_valid_since(&self, since: Instant, now: Instant) -> bool {
        let term = self.term.lock();
        self.holds(&term, now) && term.began <= since
    }

    /// Ends the term, because another life with its own lease begins.
    pub(super) fn end_term(&self, now: Instant) {
        self.term.lock().began = now;
    }

    fn holds(&self, term: &LeaseTerm, now: Instant) -> bool {
        now < term.asked_at.min(term.current_at) + self.length.saturating_sub(MARGIN)
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

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: Duration = Duration::from_secs(5);

    #[test]
    fn a_replica_is_valid_again_only_with_a_renewed_lease_and_current_data() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let lease = ReplicaLease::new(LENGTH, began);
        assert!(lease.is_valid(at(3)) && lease.is_valid_since(began, at(3)));
        assert!(!lease.is_valid(at(4)), "a second before its end");

        // The replica was stopped, and wakes up.
        lease.renew((at(60), at(61)), 0);
        assert!(!lease.is_valid(at(61)), "it lacks changes");
        lease.set_current((at(60), at(62)));
        assert!(lease.is_valid(at(62)) && lease.is_valid_since(at(62), at(62)));
        for earlier in [began, at(61)] {
            assert!(!lease.is_valid_since(earlier, at(62)));
        }

        // The database answers, but its changes can't be read.
        lease.renew((at(64), at(64)), 0);
        assert!(!lease.is_valid(at(64)));
        lease.set_current((at(64), at(64)));
        lease.end_term(at(65));
        assert!(lease.is_valid(at(65)) && !lease.is_valid_since(at(64), at(65)));
    }
}
