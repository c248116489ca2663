//! The lease of this replica: until when it counts as alive by its own clock, the age of its data, the offset of the database's
//! clock, and the number of replicas.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

/// Safety margin by which this process considers its lease over earlier than the database does, because its clock may lag.
const MARGIN: Duration = Duration::from_secs(1);

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

/// A time of the database's clock, with the times of this machine's clock just before it was requested and just after it was
/// received. All in milliseconds since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClockReading {
    pub(super) asked_ms: i64,
    pub(super) database_ms: i64,
    pub(super) received_ms: i64,
}

impl ClockReading {
    /// Returns how far the database's clock is ahead, in milliseconds: the last known difference, or the nearest one that this
    /// reading allows. A slow answer thus does not look like a difference.
    fn ahead_ms(self, known: i64) -> i64 {
        let (one, other) = (
            self.database_ms - self.received_ms,
            self.database_ms - self.asked_ms,
        );
        // The first is the smaller one, unless this machine's clock was set back in between.
        known.clamp(one.min(other), one.max(other))
    }
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
    pub(super) fn renew(&self, (asked_at, now): (Instant, Instant), clock: ClockReading) {
        let before = self.ahead_ms.load(Ordering::Relaxed);
        let ahead_ms = clock.ahead_ms(before);
        self.ahead_ms.store(ahead_ms, Ordering::Relaxed);
        let is_far = |ms: i64| ms.abs() > CLOCK_MAX_MS;
        match (is_far(before), is_far(ahead_ms)) {
            (false, true) => tracing::warn!(
                ahead_ms,
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

    /// Ends the term, because by the database's clock the lease has been over for at least this time. This process's clock may not
    /// have advanced in the meantime, as in a paused virtual machine. The replica is valid again only after
    /// [`ReplicaLease::set_current`].
    pub(super) fn expire(&self, over: Duration, now: Instant) {
        let mut term = self.term.lock();
        term.began = now;
        if let Some(current_at) = now.checked_sub(self.length + over) {
            term.current_at = term.current_at.min(current_at);
        }
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

    /// Returns a reading of a clock that is this far ahead.
    fn reading(ahead_ms: i64, asked_ms: i64, took_ms: i64) -> ClockReading {
        ClockReading {
            asked_ms,
            database_ms: asked_ms + ahead_ms + took_ms / 2,
            received_ms: asked_ms + took_ms,
        }
    }

    #[test]
    fn a_slow_answer_does_not_look_like_a_difference_of_clocks() {
        let began = Instant::now();
        let lease = ReplicaLease::new(LENGTH, began);
        let mut asked_ms = 1_700_000_000_000;
        let mut measured = |ahead_ms: i64, took_ms: i64| {
            asked_ms += 1000;
            lease.renew((began, began), reading(ahead_ms, asked_ms, took_ms));
            lease.database_ms(asked_ms) - asked_ms
        };
        assert_eq!(measured(0, 2900), 0);
        assert_eq!(measured(600, 2), 599);
        assert_eq!(measured(600, 2900), 599, "the exact one is kept");
        assert_eq!(measured(-600_000, 2), -599_999);
        assert_eq!(measured(0, 2), -1);
        // The clock was set back by a minute while the answer was on its way.
        assert_eq!(measured(0, -60_000), -1);
    }

    #[test]
    fn a_lease_that_is_over_by_the_databases_clock_is_valid_only_with_data_read_after_that() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let lease = ReplicaLease::new(LENGTH, began);
        let clock = reading(0, 1, 0);
        // By this process's clock a second has passed since the renewal, by the database's an hour.
        lease.expire(Duration::from_secs(3600), at(1));
        assert!(!lease.is_valid(at(1)));
        lease.renew((at(1), at(1)), clock);
        assert!(!lease.is_valid(at(1)), "it lacks changes");
        assert!(lease.age() >= Duration::from_secs(3600));
        lease.set_current((at(1), at(2)));
        assert!(lease.is_valid(at(2)) && !lease.is_valid_since(began, at(2)));
    }

    #[test]
    fn a_replica_is_valid_again_only_with_a_renewed_lease_and_current_data() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let lease = ReplicaLease::new(LENGTH, began);
        assert!(lease.is_valid(at(3)) && lease.is_valid_since(began, at(3)));
        assert!(!lease.is_valid(at(4)), "a second before its end");

        // The replica was stopped, and wakes up.
        let clock = reading(0, 1, 0);
        lease.renew((at(60), at(61)), clock);
        assert!(!lease.is_valid(at(61)), "it lacks changes");
        lease.set_current((at(60), at(62)));
        assert!(lease.is_valid(at(62)) && lease.is_valid_since(at(62), at(62)));
        for earlier in [began, at(61)] {
            assert!(!lease.is_valid_since(earlier, at(62)));
        }

        // The database answers, but its changes can't be read.
        lease.renew((at(64), at(64)), clock);
        assert!(!lease.is_valid(at(64)));
        lease.set_current((at(64), at(64)));
    }
}
