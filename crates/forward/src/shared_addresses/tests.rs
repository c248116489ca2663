//! Tests which calls are held back for addresses, on clocks that the test sets.

#![expect(clippy::print_stdout, reason = "a test tells how much it has checked")]

use foldhash::quality::RandomState;
use governor::Quota;
use governor::clock::FakeRelativeClock;

use super::*;
use crate::gcra::{GrowingTable, Limiter};

const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

#[test]
fn addresses_are_exchanged_once_a_second_and_immediately_near_their_limit() {
    let (began, mut held) = (Instant::now(), HeldBack::default());
    let mut exchange = |ms, calls: u32, free| {
        let admitted = std::iter::once((ADDRESS, calls)).filter(|(_, calls)| *calls > 0);
        let now = began + Duration::from_millis(ms);
        let due = held.due(now, admitted.collect(), 3, |_| free);
        (
            due.iter().map(|(_, calls)| calls).sum::<u32>(),
            held.0.len(),
        )
    };
    assert_eq!(exchange(0, 5, 600), (5, 1));
    // Each of three processes holds back this many calls, together less than a quarter of the free calls.
    for ms in [100, 200, 300] {
        assert_eq!(exchange(ms, 10, 361), (0, 1));
    }
    assert_eq!(exchange(400, 1, 361), (31, 1));
    // Exactly a quarter of the free calls.
    assert_eq!(exchange(500, 30, 360), (30, 1));
    assert_eq!(exchange(600, 1, 12), (1, 1));
    assert_eq!(exchange(700, 1, 0), (1, 1));
    assert_eq!(exchange(800, 1, 600), (0, 1));
    assert_eq!(exchange(1600, 1, 600), (0, 1));
    assert_eq!(exchange(1700, 0, 600), (2, 1));
    // No calls come any more.
    assert_eq!(exchange(2600, 0, 600), (0, 1));
    assert_eq!(exchange(2700, 0, 600), (0, 0));
    assert_eq!(exchange(2800, 1, 600), (1, 1));
}

/// The limit of one address per minute.
const PER_MINUTE: u32 = 6000;

/// The time after which one call becomes available again.
const INTERVAL_US: u64 = 60_000_000 / PER_MINUTE as u64;

/// Processes that exchange their admitted calls of one address.
struct SimulatedFleet {
    clock: FakeRelativeClock,
    replicas: Vec<(KeyLimiter<IpAddr, FakeRelativeClock>, u32, HeldBack)>,
    began: Instant,
    now_us: u64,
    /// The time when the shared limit is full again.
    full_us: u64,
    exchanged: u32,
}

impl SimulatedFleet {
    fn of(replicas: usize) -> SimulatedFleet {
        let (clock, share) = (FakeRelativeClock::default(), Share::default());
        let limiter = || {
            let quota = Quota::per_minute(NonZeroU32::new(PER_MINUTE).unwrap());
            let table = GrowingTable::with_hasher(RandomState::default());
            Limiter::new(quota, table, (&clock, &share))
        };
        SimulatedFleet {
            replicas: (0..replicas)
                .map(|_| (limiter(), 0, HeldBack::default()))
                .collect(),
            clock,
            began: Instant::now(),
            now_us: 0,
            full_us: 0,
            exchanged: 0,
        }
    }

    fn pass(&mut self, us: u64) {
        self.clock.advance(Duration::from_micros(us));
        self.now_us += us;
    }

    /// Returns whether one of the processes admits a call.
    fn calls(&mut self, replica: usize) -> bool {
        let (limiter, admitted, _) = &mut self.replicas[replica];
        let is_admitted = limiter.check_key(&ADDRESS).1.is_ok();
        *admitted += u32::from(is_admitted);
        is_admitted
    }

    fn exchange(&mut self, replica: usize) {
        let of_all = u32::try_from(self.replicas.len()).unwrap();
        let (limiter, admitted, held) = &mut self.replicas[replica];
        let admitted = Some((ADDRESS, std::mem::take(admitted))).filter(|(_, calls)| *calls > 0);
        let now = self.began + Duration::from_micros(self.now_us);
        let due = held.due(now, admitted.into_iter().collect(), of_all, |address| {
            free(limiter, address)
        });
        for (address, calls) in due {
            self.full_us = self.full_us.max(self.now_us) + u64::from(calls) * INTERVAL_US;
            let missing = Duration::from_micros(self.full_us - self.now_us);
            limiter.raise_full_at(&address, missing);
            self.exchanged += 1;
        }
    }
}

/// Simulates a minute with this number of calls a second, of which this many in ten go to the first process.
fn simulate_minute_of_exchanges(replicas: usize, a_second: u64, tenths: u64) -> (u64, u32) {
    let (mut fleet, mut admitted) = (SimulatedFleet::of(replicas), 0);
    let calls_us = 1_000_000 / a_second;
    for call in 0..a_second * 60 {
        let others = usize::try_from(call).unwrap() % replicas;
        let replica = if call % 10 < tenths { 0 } else { others };
        admitted += u64::from(fleet.calls(replica));
        let most = u64::from(PER_MINUTE) + fleet.now_us / INTERVAL_US;
        assert!(
            admitted <= most + most / 200,
            "{replicas} processes, {tenths} tenths: {admitted} of {most}"
        );
        // Each process exchanges at a different time.
        for replica in 0..replicas {
            let own_us = u64::try_from(replica).unwrap() * 6173 % 100_000;
            let tick = |us: u64| (us + own_us) / 100_000;
            if tick(fleet.now_us) != tick(fleet.now_us + calls_us) {
                fleet.exchange(replica);
            }
        }
        fleet.pass(calls_us);
    }
    (admitted, fleet.exchanged)
}

#[test]
fn replicas_admit_the_limit_of_an_address_in_total() {
    for replicas in [3, 16] {
        for tenths in [0, 9, 10] {
            let (admitted, exchanged) = simulate_minute_of_exchanges(replicas, 300, tenths);
            println!(
                "{replicas} processes, {tenths} tenths at one: {admitted} of 12000 admitted of an address, {exchanged} exchanges"
            );
            assert!(admitted * 100 >= 12_000 * 99, "{admitted}");
        }
    }
}

#[test]
fn an_address_far_from_its_limit_is_exchanged_at_most_twice_a_second() {
    // Half of the limit: fifty calls a second at one process, and the same at two.
    for replicas in [1, 2] {
        let (admitted, exchanged) = simulate_minute_of_exchanges(replicas, 50, 0);
        assert_eq!(admitted, 3000);
        assert!(exchanged <= 60 * 2 + 1, "{exchanged}");
    }
}
