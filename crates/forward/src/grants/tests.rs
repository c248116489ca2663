//! Simulates processes that hold grants of one limit, on a clock that the test sets.

#![expect(clippy::print_stdout, reason = "a test tells how much it has checked")]

use std::num::NonZeroU32;

use proptest::prelude::*;
use shared::CountLimit;
use shared::oracle::OracleLimit;

use super::*;

/// Processes that hold grants of one limit, and the limit itself.
struct SimulatedFleet {
    began: Instant,
    limit: OracleLimit,
    grants: Vec<GrantState>,
    asked: usize,
}

impl SimulatedFleet {
    fn new(per_minute: u32, replicas: usize) -> SimulatedFleet {
        let began = Instant::now();
        let burst = NonZeroU32::new(per_minute).unwrap();
        SimulatedFleet {
            began,
            limit: OracleLimit::new(CountLimit::per(burst, Duration::from_secs(60))),
            grants: (0..replicas).map(|_| GrantState::new(began)).collect(),
            asked: 0,
        }
    }

    /// Returns whether one of the processes admits a call at this time.
    fn calls(&mut self, at_us: u64, replica: usize) -> bool {
        let replicas = u32::try_from(self.grants.len()).unwrap();
        let (now, grant) = (self.at(at_us), &mut self.grants[replica]);
        grant.record_call(now);
        let mut decision = grant.decide(now);
        if decision == GrantDecision::Ask {
            self.asked += 1;
            let taken = self.limit.take(at_us, grant.take_request(1, replicas));
            decision = grant.take_over(now, &taken);
        }
        matches!(decision, GrantDecision::Admitted(_))
    }

    /// Does the work of the background task.
    fn sweep(&mut self, at_us: u64) {
        let now = self.at(at_us);
        for grant in &mut self.grants {
            let cells = grant.expire(now);
            self.limit.refund(at_us, cells);
        }
    }

    fn at(&self, at_us: u64) -> Instant {
        self.began + Duration::from_micros(at_us)
    }
}

/// Simulates a minute with this number of calls a second, of which this many in ten go to the first process. Returns the number of
/// admitted calls and of requests to the limit.
fn simulate_minute_of_calls(
    per_minute: u32,
    replicas: usize,
    (calls_a_second, tenths): (u64, u64),
) -> (u64, usize) {
    let mut fleet = SimulatedFleet::new(per_minute, replicas);
    let (mut admitted, calls) = (0, calls_a_second * 60);
    for call in 0..calls {
        let at_us = call * 1_000_000 / calls_a_second;
        let is_first = call % 10 < tenths;
        let replica = if is_first {
            0
        } else {
            usize::try_from(call).unwrap() % replicas
        };
        admitted += u64::from(fleet.calls(at_us, replica));
        if call % 16 == 0 {
            fleet.sweep(at_us);
        }
    }
    (admitted, fleet.asked)
}

#[test]
fn replicas_with_grants_admit_the_limit_in_total_for_any_distribution() {
    for replicas in [3, 16, 128] {
        for tenths in [0, 9, 10] {
            let (admitted, asked) = simulate_minute_of_calls(6000, replicas, (300, tenths));
            println!(
                "{replicas} processes, {tenths} tenths at one: {admitted} admitted, asked {asked} times"
            );
            // The burst, and the calls that become available again in the minute, except the last one.
            assert!(admitted <= 6000 + 6000, "{admitted}");
            assert!(admitted * 100 >= 12_000 * 99, "{admitted}");
        }
    }
}

#[test]
fn a_replica_with_50_calls_per_second_asks_for_at_most_one_call_in_ten() {
    let (admitted, asked) = simulate_minute_of_calls(60_000, 3, (150, 0));
    assert_eq!(admitted, 150 * 60);
    assert!(asked * 10 <= 150 * 60, "{asked}");
}

#[test]
fn unused_granted_calls_are_returned_for_other_replicas() {
    let mut fleet = SimulatedFleet::new(60, 2);
    for call in 0..15 {
        assert!(fleet.calls(call * 10_000, 0));
    }
    fleet.sweep(150_000 + 250_000);
    let rest = (0..60)
        .filter(|call| fleet.calls(400_000 + call, 1))
        .count();
    assert_eq!(rest, 45);
}

/// Returns a generator of numbers below a bound, the same in each run.
fn numbers() -> impl FnMut(u64) -> u64 {
    let mut state = 1_u64;
    move |below| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

#[test]
fn late_requests_and_lost_answers_admit_no_more_than_the_limit() {
    const REPLICAS: usize = 128;
    let (mut fleet, mut random) = (SimulatedFleet::new(6000, REPLICAS), numbers());
    let replicas = u32::try_from(REPLICAS).unwrap();
    // The time when a request reaches the limit, the process that sent it, and the number of calls that wait for the answer.
    let mut under_way = std::collections::BTreeMap::<(u64, usize), u32>::new();
    let (mut admitted, mut lost) = (0_u64, 0);
    for ms in 0..60_000 {
        let at_us = ms * 1000;
        let now = fleet.at(at_us);
        let later = under_way.split_off(&(at_us + 1, 0));
        for ((_, replica), waiting) in std::mem::replace(&mut under_way, later) {
            let grant = &mut fleet.grants[replica];
            let taken = fleet
                .limit
                .take(at_us, grant.take_request(waiting, replicas));
            if random(20) == 0 {
                lost += 1;
                continue;
            }
            let asker = grant.take_over(now, &taken);
            let others = (1..waiting).map(|_| grant.decide(now));
            let decisions = std::iter::once(asker).chain(others);
            let is_admitted =
                |decision: &GrantDecision| matches!(decision, GrantDecision::Admitted(_));
            admitted += decisions.filter(is_admitted).count() as u64;
        }
        let replica = usize::try_from(random(128)).unwrap();
        let grant = &mut fleet.grants[replica];
        grant.record_call(now);
        match grant.decide(now) {
            GrantDecision::Admitted(_) => admitted += 1,
            GrantDecision::Refused(_) => {}
            GrantDecision::Ask => {
                let asked = under_way.iter_mut().find(|((_, asks), _)| *asks == replica);
                match asked {
                    Some((_, waiting)) => *waiting += 1,
                    None => {
                        under_way.insert((at_us + random(25_000), replica), 1);
                    }
                }
            }
        }
        if ms % 100 == 0 {
            fleet.sweep(at_us);
        }
        assert!(
            admitted <= 6000 + at_us * 6000 / 60_000_000,
            "{admitted} at {ms} ms"
        );
    }
    println!("{REPLICAS} processes, {lost} answers lost: {admitted} of 12000 admitted");
    assert!(
        lost > 100 && admitted * 10 >= 12_000 * 9,
        "{lost}, {admitted}"
    );
}

proptest! {
    /// Holds from the beginning, whatever happens when.
    #[test]
    fn replicas_with_grants_never_exceed_the_limit(
        per_minute in 1_u32..200,
        replicas in 1_usize..6,
        calls in prop::collection::vec((0_u64..200_000, 0_usize..6, prop::bool::ANY), 1..400),
    ) {
        let mut fleet = SimulatedFleet::new(per_minute, replicas);
        let (mut at_us, mut admitted) = (0, 0);
        for (pause, replica, sweeps) in calls {
            at_us += pause;
            admitted += u64::from(fleet.calls(at_us, replica % replicas));
            if sweeps {
                fleet.sweep(at_us);
            }
            prop_assert!(admitted <= u64::from(per_minute) + at_us * u64::from(per_minute) / 60_000_000);
        }
    }
}
