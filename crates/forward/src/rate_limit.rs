//! Limits the rate of calls: GCRA per address before authentication, per access after it. The clock is passed in.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use foldhash::quality::RandomState;
use governor::Quota;
use governor::clock::{Clock, DefaultClock};
use parking_lot::RwLock;
use store::{Access, Rate, counted_address};

use crate::gcra::{GrowingTable, Limiter, RateDecision};
use crate::limit_check::{LimitCheck, LimitState};
use crate::limit_name::{LimitName, PER_ACCESS, PER_ADDRESS, PER_DESTINATION};
use crate::share::Share;

/// Maximum number of counted addresses, about 20 MiB, checked every ten seconds. With more addresses the gateway is under attack and
/// answers 503.
const ADDRESSES_MAX: usize = 200_000;

/// Maximum number of counted accesses and destinations, about 40 MiB. In this process's own counts it is checked every ten seconds.
/// With more, sends to destinations that have a limit are answered with 503.
pub(crate) const DESTINATIONS_MAX: usize = 200_000;

pub(crate) type KeyLimiter<K, C> = Limiter<K, GrowingTable<K>, C>;
type ByRate<C> = HashMap<Rate, Arc<KeyLimiter<String, C>>, foldhash::fast::RandomState>;

/// All rate limits of one gateway.
pub struct RateLimits<C: Clock = DefaultClock> {
    clock: C,
    share: Share,
    /// The share of this process in the count of each address.
    address_share: Share,
    addresses: Arc<KeyLimiter<IpAddr, C>>,
    addresses_full: Arc<AtomicBool>,
    /// One limiter for each rate in use, keyed by access, or by access and destination. A changed rate starts full, and all other
    /// counts continue.
    accesses: Arc<RwLock<ByRate<C>>>,
    destinations_full: Arc<AtomicBool>,
}

impl RateLimits<DefaultClock> {
    /// Creates limits on the machine's clock, with `per_address` calls a minute before authentication. The shares are those for
    /// addresses and for accesses.
    #[must_use]
    pub fn new(per_address: NonZeroU32, shares: [&Share; 2]) -> RateLimits {
        RateLimits::with_clock(per_address, DefaultClock::default(), shares)
    }
}

impl<C: Clock + Clone> RateLimits<C> {
    /// Creates limits on the given clock.
    #[must_use]
    pub fn with_clock(
        per_address: NonZeroU32,
        clock: C,
        [address_share, share]: [&Share; 2],
    ) -> RateLimits<C> {
        RateLimits {
            addresses: Arc::new(limiter(per_address, (&clock, address_share))),
            address_share: address_share.clone(),
            addresses_full: Arc::default(),
            accesses: Arc::default(),
            destinations_full: Arc::default(),
            share: share.clone(),
            clock,
        }
    }

    /// Returns the same limits with another limit per address, which starts full. Both share all other counts.
    #[must_use]
    pub fn reconfigured(&self, per_address: NonZeroU32) -> RateLimits<C> {
        RateLimits {
            addresses: Arc::new(limiter(per_address, (&self.clock, &self.address_share))),
            address_share: self.address_share.clone(),
            addresses_full: Arc::default(),
            accesses: Arc::clone(&self.accesses),
            destinations_full: Arc::clone(&self.destinations_full),
            share: self.share.clone(),
            clock: self.clock.clone(),
        }
    }

    /// Returns the limiter of addresses.
    pub(crate) fn addresses(&self) -> &Arc<KeyLimiter<IpAddr, C>> {
        &self.addresses
    }

    /// Counts a call of an address and returns the state of its limit.
    ///
    /// # Errors
    /// RATE_LIMITED; OVERLOADED when more addresses call than can be counted.
    pub fn check_address(&self, address: IpAddr) -> LimitCheck {
        self.address(address, Limiter::check_key)
    }

    /// Returns the result that [`RateLimits::check_address`] would give now. Counts nothing.
    pub(crate) fn peek_address(&self, address: IpAddr) -> LimitCheck {
        self.address(address, Limiter::peek_key)
    }

    fn address(
        &self,
        address: IpAddr,
        ask: impl Fn(&KeyLimiter<IpAddr, C>, &IpAddr) -> RateDecision<C>,
    ) -> LimitCheck {
        if self.addresses_full.load(Ordering::Relaxed) {
            return LimitCheck::too_many("too many addresses to count");
        }
        let decision = ask(&self.addresses, &counted_address(address));
        self.checked(decision, PER_ADDRESS)
    }

    /// Counts a call of an access, and a send also for its destination. Returns the state of the limit that rejects the call, or else
    /// of the access's limit, if it has one.
    pub(crate) fn check_call(&self, access: &Access, destination: Option<&str>) -> LimitCheck {
        let checked = self.check_access(access);
        match destination {
            Some(destination) if checked.result.is_ok() => {
                checked.and_destination(self.check_destination(access, destination))
            }
            _ => checked,
        }
    }

    /// Counts a call of an access and returns the state of its limit, if it has one.
    pub fn check_access(&self, access: &Access) -> LimitCheck {
        match access.limits.per_minute {
            None => LimitCheck::UNLIMITED,
            Some(rate) => {
                let decision = self.limiter_of(rate).check_key(&access.name);
                self.checked(decision, PER_ACCESS)
            }
        }
    }

    /// Returns the result that [`RateLimits::check_access`] would give now. Counts nothing.
    pub(crate) fn peek_access(&self, access: &Access) -> LimitCheck {
        let Some(rate) = access.limits.per_minute else {
            return LimitCheck::UNLIMITED;
        };
        let decision = self.limiter_of(rate).peek_key(&access.name);
        self.checked(decision, PER_ACCESS)
    }

    /// Counts a send to one destination and returns the state of its limit, if it has one.
    ///
    /// # Errors
    /// RATE_LIMITED, or OVERLOADED if there are too many destinations to count.
    pub fn check_destination(&self, access: &Access, destination: &str) -> LimitCheck {
        let Some(rate) = access.limits.per_destination else {
            return LimitCheck::UNLIMITED;
        };
        if self.destinations_full.load(Ordering::Relaxed) {
            return LimitCheck::too_many("too many destinations to count");
        }
        let decision = self
            .limiter_of(rate)
            .check_key(&destination_key(access, destination));
        self.checked(decision, PER_DESTINATION)
    }

    /// Returns the result that [`RateLimits::check_destination`] would give now. Counts nothing.
    pub(crate) fn peek_destination(&self, access: &Access, destination: &str) -> LimitCheck {
        let Some(rate) = access.limits.per_destination else {
            return LimitCheck::UNLIMITED;
        };
        let decision = self
            .limiter_of(rate)
            .peek_key(&destination_key(access, destination));
        self.checked(decision, PER_DESTINATION)
    }

    fn checked(&self, (cells, decision): RateDecision<C>, limit: LimitName) -> LimitCheck {
        match decision {
            Ok(snapshot) => LimitCheck::admitted(LimitState::of(limit, cells, &snapshot)),
            Err(not_until) => {
                let per_minute = not_until.quota().burst_size().get();
                LimitCheck::rate_limited(
                    per_minute,
                    not_until.wait_time_from(self.clock.now()),
                    limit,
                )
            }
        }
    }

    /// Forgets counts that are full again.
    pub fn sweep(&self) {
        self.addresses.sweep();
        self.addresses_full.store(
            self.addresses.table().len() >= ADDRESSES_MAX,
            Ordering::Relaxed,
        );
        let limiters = self.accesses.read();
        let mut counted = 0;
        for limiter in limiters.values() {
            limiter.sweep();
            counted += limiter.table().len();
        }
        drop(limiters);
        self.destinations_full
            .store(counted >= DESTINATIONS_MAX, Ordering::Relaxed);
        // Removes limiters of rates that no access has or uses any more. A limiter that a caller holds may be about to count.
        let mut limiters = self.accesses.write();
        limiters.retain(|_, limiter| !limiter.table().is_empty() || Arc::strong_count(limiter) > 1);
    }

    fn limiter_of(&self, rate: Rate) -> Arc<KeyLimiter<String, C>> {
        if let Some(limiter) = self.accesses.read().get(&rate) {
            return Arc::clone(limiter);
        }
        let mut limiters = self.accesses.write();
        Arc::clone(
            limiters
                .entry(rate)
                .or_insert_with(|| Arc::new(limiter(rate.per_minute, (&self.clock, &self.share)))),
        )
    }
}

fn limiter<K: Hash + Eq + Clone, C: Clock + Clone>(
    per_minute: NonZeroU32,
    clock_and_share: (&C, &Share),
) -> KeyLimiter<K, C> {
    let table = GrowingTable::with_hasher(RandomState::default());
    Limiter::new(Quota::per_minute(per_minute), table, clock_and_share)
}

/// Returns the key of a destination. Names contain no line end, so that no two pairs give the same key.
pub(crate) fn destination_key(access: &Access, destination: &str) -> String {
    format!("{}\n{destination}", access.name)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::time::Duration;

    use adapter::Code;
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn limits(per_address: u32) -> (FakeRelativeClock, RateLimits<FakeRelativeClock>) {
        shared_limits(per_address, &Share::default())
    }

    fn shared_limits(
        per_address: u32,
        share: &Share,
    ) -> (FakeRelativeClock, RateLimits<FakeRelativeClock>) {
        let clock = FakeRelativeClock::default();
        let per_address = NonZeroU32::new(per_address).unwrap();
        let limits = RateLimits::with_clock(per_address, clock.clone(), [share; 2]);
        (clock, limits)
    }

    fn access(per_minute: u32) -> Access {
        let mut access = Access::new("a", "u", "c");
        let per_minute = NonZeroU32::new(per_minute);
        access.limits.per_minute = per_minute.map(|per_minute| Rate { per_minute });
        access
    }

    #[test]
    fn an_address_gets_its_burst_and_then_one_call_per_interval() {
        let (clock, limits) = limits(60);
        let address = "192.0.2.1".parse().unwrap();
        assert!((0..60).all(|_| limits.check_address(address).result.is_ok()));
        let refused = limits.check_address(address).result.unwrap_err();
        assert_eq!(
            (refused.code(), refused.retry_after_s()),
            (Code::RateLimited, Some(1))
        );
        clock.advance(Duration::from_secs(1));
        assert!(limits.check_address(address).result.is_ok());
        assert!(limits.check_address(address).result.is_err());
        assert!(
            limits
                .check_address("192.0.2.2".parse().unwrap())
                .result
                .is_ok()
        );
    }

    #[test]
    fn replicas_admit_the_rate_limit_in_total_after_their_number_changes() {
        let replicas = Arc::new(AtomicU32::new(3));
        let counted = Arc::clone(&replicas);
        let share = Share::of(move || counted.load(Ordering::Relaxed));
        let three = [(); 3].map(|()| shared_limits(60, &share));
        let address = "192.0.2.1".parse().unwrap();
        let admitted = |(_, limits): &(_, RateLimits<FakeRelativeClock>)| {
            (0..60)
                .filter(|_| limits.check_address(address).result.is_ok())
                .count()
        };
        assert_eq!(three.each_ref().map(admitted), [20; 3]);
        let LimitCheck {
            state,
            result: refused,
        } = three[0].1.peek_address(address);
        assert_eq!(state.unwrap().per_minute, 60);
        // One call in three seconds: a third of one call a second.
        assert_eq!(refused.unwrap_err().retry_after_s(), Some(3));
        let pass = |s| {
            for (clock, _) in &three {
                clock.advance(Duration::from_secs(s));
            }
        };
        pass(60);
        assert_eq!(three.each_ref().map(admitted), [20; 3]);
        // Two processes have ended. The remaining one admits what all did.
        replicas.store(1, Ordering::Relaxed);
        pass(30);
        assert_eq!(admitted(&three[0]), 30);
    }

    #[test]
    fn each_replica_admits_one_call_if_the_limit_is_below_the_replica_count() {
        let (clock, limits) = shared_limits(2, &Share::of(|| 5));
        let address = "192.0.2.1".parse().unwrap();
        assert!(limits.check_address(address).result.is_ok());
        assert!(limits.check_address(address).result.is_err());
        clock.advance(Duration::from_secs(60));
        assert!(limits.check_address(address).result.is_ok());
    }

    #[test]
    fn an_ipv6_64_network_is_limited_as_one_caller() {
        let (_, limits) = limits(1);
        assert!(
            limits
                .check_address("2001:db8::1".parse().unwrap())
                .result
                .is_ok()
        );
        assert!(
            limits
                .check_address("2001:db8::2".parse().unwrap())
                .result
                .is_err()
        );
        assert!(
            limits
                .check_address("2001:db8:0:1::1".parse().unwrap())
                .result
                .is_ok()
        );
        assert!(
            limits
                .check_address("192.0.2.1".parse().unwrap())
                .result
                .is_ok()
        );
        assert!(
            limits
                .check_address("::ffff:192.0.2.1".parse().unwrap())
                .result
                .is_err()
        );
    }

    #[test]
    fn check_access_returns_the_limit_state_and_a_new_rate_starts_full() {
        let (clock, limits) = limits(1);
        let LimitCheck {
            state,
            result: counted,
        } = limits.check_access(&access(3));
        assert!(counted.is_ok());
        assert_eq!(
            state,
            Some(LimitState {
                name: "minute",
                per_minute: 3,
                remaining: 2,
                reset_s: 20
            })
        );
        limits.check_access(&access(3)).result.unwrap();
        limits.check_access(&access(3)).result.unwrap();
        let LimitCheck {
            state,
            result: counted,
        } = limits.check_access(&access(3));
        assert_eq!(counted.unwrap_err().retry_after_s(), Some(20));
        assert_eq!(
            state,
            Some(LimitState {
                name: "minute",
                per_minute: 3,
                remaining: 0,
                reset_s: 20
            })
        );
        assert!(limits.check_access(&access(4)).result.is_ok());
        clock.advance(Duration::from_secs(20));
        assert!(limits.check_access(&access(3)).result.is_ok());
    }

    #[test]
    fn peek_predicts_the_next_decision_and_counts_no_call() {
        let (clock, limits) = limits(2);
        let (address, access) = ("192.0.2.1".parse().unwrap(), access(3));
        for _ in 0..4 {
            for _ in 0..100 {
                limits.peek_address(address).result.ok();
                limits.peek_access(&access).result.ok();
            }
            let LimitCheck {
                state,
                result: looked,
            } = limits.peek_access(&access);
            let LimitCheck {
                state: counted_state,
                result: counted,
            } = limits.check_access(&access);
            assert_eq!(state, counted_state);
            assert_eq!(
                looked.err().map(|e| e.to_string()),
                counted.err().map(|e| e.to_string())
            );
            let LimitCheck {
                state,
                result: looked,
            } = limits.peek_address(address);
            let LimitCheck {
                state: counted_state,
                result: counted,
            } = limits.check_address(address);
            assert_eq!(state, counted_state);
            assert_eq!(looked.is_ok(), counted.is_ok());
            clock.advance(Duration::from_secs(7));
        }
        assert_eq!(limits.addresses.table().len(), 1);
        limits
            .peek_address("192.0.2.2".parse().unwrap())
            .result
            .unwrap();
        assert_eq!(limits.addresses.table().len(), 1);
    }

    #[test]
    fn too_many_destinations_are_refused_until_a_sweep_forgets_some() {
        let (clock, limits) = limits(60);
        let mut access = access(60);
        access.limits.per_destination = access.limits.per_minute;
        for n in 0..DESTINATIONS_MAX {
            limits
                .check_destination(&access, &n.to_string())
                .result
                .unwrap();
        }
        limits.sweep();
        let LimitCheck {
            state,
            result: refused,
        } = limits.check_destination(&access, "one more");
        assert_eq!(
            (state, refused.unwrap_err().code()),
            (None, Code::Overloaded)
        );
        limits.check_access(&access).result.unwrap();
        clock.advance(Duration::from_secs(61));
        limits.sweep();
        limits
            .check_destination(&access, "one more")
            .result
            .unwrap();
    }

    #[test]
    fn sweep_removes_limits_that_are_full_again() {
        let (clock, limits) = limits(60);
        let mut access = access(60);
        access.limits.per_destination = access.limits.per_minute;
        let destinations = limits.limiter_of(Rate {
            per_minute: NonZeroU32::new(60).unwrap(),
        });
        for n in 0..100_000_u32 {
            limits
                .check_address(IpAddr::from(n.to_be_bytes()))
                .result
                .unwrap();
            limits
                .check_destination(&access, &n.to_string())
                .result
                .unwrap();
        }
        assert_eq!(
            (limits.addresses.table().len(), destinations.table().len()),
            (100_000, 100_000)
        );
        clock.advance(Duration::from_secs(61));
        limits.sweep();
        assert!(limits.addresses.table().is_empty() && destinations.table().is_empty());
    }
}
