//! Computes which journalled calls other limits would have rejected. Judges calls by the times in the journal, with the same
//! arithmetic and in the same order as the real limits.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use adapter::{Effect, Operation};
use governor::clock::{Clock, FakeRelativeClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use store::{Access, AccessLimits, JournalRow, LimitCall, Rate};

use crate::problem::Problem;
use crate::state::Console;

/// Number of calls read from the store at a time.
const PAGE_CALLS: u32 = 10_000;

/// The code of a call that a limit rejected.
const LIMITED: &str = "RATE_LIMITED";

/// Maximum difference between the order of rows and the order of arrival, in microseconds. Rows are ordered by the time when calls
/// ended or were sent, but limits judge calls in order of arrival. The value is longer than a call can wait and be retried.
const LATE_US: i64 = 120_000_000;

/// Maximum number of calls of one row that are judged individually. Further calls in the same minute are ignored, because the
/// limits are exhausted by then.
const SPREAD_MAX: u64 = 10_000;

/// Number of tracked destinations above which the limiter removes destinations whose rate limit has fully recovered.
const DESTINATIONS_MAX: usize = 50_000;

const MINUTE_US: i64 = 60_000_000;
const DAY_US: i64 = 86_400_000_000;

/// The effect of limits on journalled calls.
pub(crate) struct SimulatedRefusals {
    /// The name of each limit that is set, and the number of calls that it would have rejected but that no limit rejected at the
    /// time.
    pub(crate) refused: Vec<(&'static str, u64)>,
    /// The number of sends whose destination the journal no longer contains. The limit per destination is not applied to them.
    pub(crate) forgotten: u64,
}

/// Judges the calls that an access has made since a time, by the limits in `access`.
pub(crate) async fn limited(
    console: &Console,
    access: &Access,
    since_ms: i64,
) -> Result<SimulatedRefusals, Problem> {
    let mut simulation = Simulation::new(access.limits);
    let asked = (&*access.name, access.limits.per_destination.is_some());
    let mut beyond = 0;
    loop {
        let from = (since_ms, beyond);
        let calls = console.store.limit_calls(asked, from, PAGE_CALLS).await?;
        let Some(last) = calls.last() else { break };
        beyond = last.id;
        calls
            .into_iter()
            .flat_map(SimulatedCall::expand)
            .for_each(|call| simulation.push(call));
    }
    Ok(simulation.ended())
}

/// A call that reached the limits, and the time during which it occupied them. The order is the order of arrival.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct SimulatedCall {
    from_us: i64,
    until_us: i64,
    is_send: bool,
    was_limited: bool,
    destination: Option<Vec<u8>>,
}

impl SimulatedCall {
    /// Returns the calls that a row stands for, spread evenly from the row's time to the end of its minute.
    fn expand(call: LimitCall) -> impl Iterator<Item = SimulatedCall> {
        let count = i64::try_from(call.count.clamp(1, SPREAD_MAX)).unwrap_or(1);
        let held = SimulatedCall::of(call);
        let left_us = held
            .as_ref()
            .map_or(0, |held| MINUTE_US - held.from_us.rem_euclid(MINUTE_US));
        (0..count).filter_map(move |n| {
            let later_us = left_us / count * n;
            let held = held.clone()?;
            Some(SimulatedCall {
                from_us: held.from_us + later_us,
                until_us: held.until_us + later_us,
                ..held
            })
        })
    }

    /// Returns `None` for a call that was rejected before the limits were checked.
    fn of(call: LimitCall) -> Option<SimulatedCall> {
        let was_limited = call.code.as_deref() == Some(LIMITED) && !call.is_upstreams;
        if call.code.is_some() && !was_limited && call.held_us.is_none() {
            return None;
        }
        let operation = Operation::named(call.method.as_deref().unwrap_or_default());
        let is_send = operation.is_some_and(|operation| operation.effect == Effect::Send);
        let (row_us, held_us) = (
            JournalRow::time_of(call.id).saturating_mul(1000),
            call.held_us.unwrap_or(0),
        );
        // The row of a send is written before the send begins; the row of any other call is written after it has ended.
        let from_us = if is_send { row_us } else { row_us - held_us };
        Some(SimulatedCall {
            from_us,
            until_us: from_us + held_us,
            is_send,
            was_limited,
            destination: call.destination,
        })
    }
}

/// The number of calls that each limit rejects.
#[derive(Default)]
struct Counts {
    per_minute: u64,
    per_destination: u64,
    concurrent: u64,
    per_day: u64,
}

type SimulatedLimiter<K, S> = RateLimiter<K, S, FakeRelativeClock, NoOpMiddleware<Nanos>>;

struct Simulation {
    limits: AccessLimits,
    /// Calls that an earlier call may still precede.
    waiting: BinaryHeap<Reverse<SimulatedCall>>,
    /// The clock of the rate limiters, set to the time of the judged call, and the time at which the clock began.
    clock: FakeRelativeClock,
    began_us: Option<i64>,
    minute: Option<SimulatedLimiter<NotKeyed, InMemoryState>>,
    destinations: Option<SimulatedLimiter<Vec<u8>, HashMapStateStore<Vec<u8>>>>,
    /// The end times of the calls in progress.
    under_way: BinaryHeap<Reverse<i64>>,
    /// The current day, and the number of calls on that day.
    day: (i64, u32),
    refused: Counts,
    forgotten: u64,
}

impl Simulation {
    fn new(limits: AccessLimits) -> Simulation {
        let clock = FakeRelativeClock::default();
        let quota = |rate: Rate| Quota::per_minute(rate.per_minute);
        let minute = limits.per_minute.map(quota);
        let destinations = limits.per_destination.map(quota);
        Simulation {
            limits,
            waiting: BinaryHeap::new(),
            minute: minute.map(|quota| RateLimiter::direct_with_clock(quota, clock.clone())),
            destinations: destinations
                .map(|quota| RateLimiter::new(quota, HashMapStateStore::default(), clock.clone())),
            clock,
            began_us: None,
            under_way: BinaryHeap::new(),
            day: (0, 0),
            refused: Counts::default(),
            forgotten: 0,
        }
    }

    /// Adds the next call, and judges all calls that no earlier call can precede any more.
    fn push(&mut self, call: SimulatedCall) {
        let now_us = call.until_us;
        self.waiting.push(Reverse(call));
        while let Some(Reverse(first)) = self.waiting.peek()
            && first.from_us < now_us - LATE_US
            && let Some(Reverse(first)) = self.waiting.pop()
        {
            self.judge(&first);
        }
    }

    fn ended(mut self) -> SimulatedRefusals {
        while let Some(Reverse(call)) = self.waiting.pop() {
            self.judge(&call);
        }
        let (limits, refused) = (&self.limits, &self.refused);
        let all = [
            (
                "Over the limit of calls per minute",
                limits.per_minute.map(|_| refused.per_minute),
            ),
            (
                "Over the limit of sends per destination",
                limits.per_destination.map(|_| refused.per_destination),
            ),
            (
                "Over the limit of concurrent calls",
                limits.concurrent.map(|_| refused.concurrent),
            ),
            (
                "Over the limit of calls per day",
                limits.per_day.map(|_| refused.per_day),
            ),
        ];
        SimulatedRefusals {
            refused: all
                .into_iter()
                .filter_map(|(name, count)| Some((name, count?)))
                .collect(),
            forgotten: self.forgotten,
        }
    }

    /// Checks the limits in the order in which a real call meets them. A call that a limit rejected at the time is judged again and
    /// may use up limits, but is not counted as newly rejected.
    fn judge(&mut self, call: &SimulatedCall) {
        let news = u64::from(!call.was_limited);
        let at_us = call.from_us;
        self.move_clock(at_us);
        if self
            .minute
            .as_ref()
            .is_some_and(|limit| limit.check().is_err())
        {
            self.refused.per_minute += news;
        } else if !self.fits_destination(call) {
            self.refused.per_destination += news;
        } else if !self.fits_at_once(at_us) {
            self.refused.concurrent += news;
        } else if !self.fits_day(at_us) {
            self.refused.per_day += news;
        } else if self.limits.concurrent.is_some() {
            self.under_way.push(Reverse(call.until_us));
        }
    }

    /// Advances the clock of the rate limiters to the time of a call. A late call is judged at the clock's current time.
    fn move_clock(&mut self, at_us: i64) {
        let since_us = at_us - *self.began_us.get_or_insert(at_us);
        let since = Duration::from_micros(u64::try_from(since_us).unwrap_or(0));
        let now = Duration::from(self.clock.now());
        self.clock.advance(since.saturating_sub(now));
    }

    fn fits_destination(&mut self, call: &SimulatedCall) -> bool {
        let (Some(limit), true) = (&self.destinations, call.is_send) else {
            return true;
        };
        let Some(destination) = &call.destination else {
            self.forgotten += 1;
            return true;
        };
        if limit.len() > DESTINATIONS_MAX {
            limit.retain_recent();
        }
        limit.check_key(destination).is_ok()
    }

    fn fits_at_once(&mut self, at_us: i64) -> bool {
        while self.under_way.peek().is_some_and(|end| end.0 <= at_us) {
            self.under_way.pop();
        }
        let under_way = self.under_way.len();
        let most = self.limits.concurrent;
        most.is_none_or(|most| under_way < most.get() as usize)
    }

    fn fits_day(&mut self, at_us: i64) -> bool {
        let day = at_us.div_euclid(DAY_US);
        let made = if self.day.0 == day { self.day.1 } else { 0 };
        let fits = self.limits.per_day.is_none_or(|most| made < most.get());
        if fits {
            self.day = (day, made.saturating_add(1));
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: i64 = 1_700_000_000_000_000;
    const SECOND_US: i64 = 1_000_000;

    fn limits(text: &str) -> AccessLimits {
        serde_json::from_str(text).unwrap()
    }

    /// Judges calls by arrival time and duration, both in seconds, and by destination.
    fn refused(text: &str, calls: impl IntoIterator<Item = (i64, i64, u8)>) -> Vec<u64> {
        let mut simulation = Simulation::new(limits(text));
        for (from, length, destination) in calls {
            let from_us = NOW_US + from * SECOND_US;
            simulation.push(SimulatedCall {
                from_us,
                until_us: from_us + length * SECOND_US,
                is_send: destination > 0,
                was_limited: false,
                destination: (destination < 9).then(|| vec![destination]),
            });
        }
        let refused = simulation.ended().refused;
        refused.into_iter().map(|(_, count)| count).collect()
    }

    #[test]
    fn the_simulation_applies_rates_at_the_times_of_the_calls() {
        let at = |seconds: i64| (seconds, 0, 0);
        assert_eq!(refused("{}", (0..1000).map(|_| at(0))), [0; 0]);
        let ten = r#"{"per_minute": 10}"#;
        assert_eq!(refused(ten, (0..15).map(|_| at(0))), [5], "a burst of ten");
        assert_eq!(refused(ten, (0..15).map(|n| at(n * 6))), [0], "on time");
        let days = [0, 0, 0, 86_400].map(at);
        assert_eq!(refused(r#"{"per_day": 2}"#, days), [1]);
        // A call that the rate rejects does not count towards the day.
        let both = r#"{"per_minute": 1, "per_day": 2}"#;
        assert_eq!(refused(both, [0, 0, 0, 60, 120].map(at)), [2, 1]);
    }

    #[test]
    fn each_destination_has_its_own_rate_and_only_sends_count() {
        let one = r#"{"per_destination": 1}"#;
        let calls = [(0, 0, 1), (0, 0, 1), (0, 0, 2), (0, 0, 0), (61, 0, 1)];
        assert_eq!(refused(one, calls), [1]);
        let forgotten = [(0, 0, 9), (0, 0, 9)];
        assert_eq!(refused(one, forgotten), [0], "nothing is known of them");
    }

    #[test]
    fn concurrent_calls_are_counted_by_overlap_in_any_input_order() {
        let two = r#"{"concurrent": 2}"#;
        let calls = [(0, 10, 0), (1, 10, 0), (2, 1, 0), (10, 5, 0), (11, 1, 0)];
        assert_eq!(refused(two, calls), [1], "the third alone");
        let mut by_end = calls;
        by_end.sort_by_key(|(from, length, _)| from + length);
        assert_ne!(by_end, calls);
        assert_eq!(refused(two, by_end), [1]);
        // A rejected call is not in progress.
        let three = [(0, 10, 0), (1, 100, 0), (11, 1, 0)];
        assert_eq!(refused(r#"{"concurrent": 1}"#, three), [1]);
    }

    #[test]
    fn a_counted_row_expands_into_its_calls_up_to_a_bound() {
        let half_past_us = NOW_US - NOW_US.rem_euclid(MINUTE_US) + MINUTE_US / 2;
        let row = |count| LimitCall {
            id: (half_past_us / 1000) << 20,
            method: Some("getchats".to_owned()),
            code: Some(LIMITED.to_owned()),
            is_upstreams: false,
            held_us: None,
            destination: None,
            count,
        };
        let times: Vec<_> = SimulatedCall::expand(row(3))
            .map(|held| held.from_us)
            .collect();
        let third = half_past_us + 10 * SECOND_US;
        assert_eq!(times, [half_past_us, third, third + 10 * SECOND_US]);
        assert_eq!(SimulatedCall::expand(row(1)).count(), 1);
        assert_eq!(
            SimulatedCall::expand(row(u64::MAX)).count() as u64,
            SPREAD_MAX
        );
    }

    #[test]
    fn a_previously_rejected_call_is_not_reported_as_newly_rejected() {
        let call = |method: &str, code: Option<&str>, held_us| LimitCall {
            id: (NOW_US / 1000) << 20,
            method: Some(method.to_owned()),
            code: code.map(str::to_owned),
            is_upstreams: false,
            held_us,
            destination: None,
            count: 1,
        };
        assert_eq!(
            SimulatedCall::of(call("sendmessage", Some("INCORRECT_CLASS"), None)),
            None
        );
        let read = SimulatedCall::of(call("getchats", Some("NO_CREDIT"), Some(2000))).unwrap();
        assert_eq!((read.from_us, read.until_us), (NOW_US - 2000, NOW_US));
        let send = SimulatedCall::of(call("sendmessage", None, Some(2000))).unwrap();
        assert_eq!((send.from_us, send.until_us), (NOW_US, NOW_US + 2000));
        let mut simulation = Simulation::new(limits(r#"{"per_day": 1}"#));
        for code in [None, Some(LIMITED), None] {
            let held = SimulatedCall::of(call("getchats", code, None));
            simulation.judge(&held.unwrap());
        }
        assert_eq!(simulation.ended().refused[0].1, 1);
    }
}
