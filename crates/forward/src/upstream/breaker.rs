//! Decides whether an endpoint is asked. After many failures it is left alone for a moment, and then one read probes it. After a
//! successful probe all calls may use it again. The clock is passed in.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Number of remembered outcomes; no more than come in a moment under load, so that old outcomes don't outweigh new ones.
const WINDOW: u32 = 20;

/// The breaker opens when at least this many of them are failures. This is half, so that one failing method does not block the
/// others.
const FAILURES_MAX: u32 = 10;

/// Older outcomes do not matter any more.
const OUTCOME_AGE_MAX: Duration = Duration::from_secs(10);

/// The time for which the breaker stays open at first, and at most. A recovered upstream is noticed within five seconds.
const OPEN_TIME: Duration = Duration::from_secs(1);
pub(super) const OPEN_TIME_MAX: Duration = Duration::from_secs(4);

/// The breaker of one endpoint.
#[derive(Default)]
pub(super) struct Breaker(Mutex<BreakerData>);

/// The data of a breaker.
#[derive(Default)]
struct BreakerData {
    state: BreakerState,
    /// The number of probes allowed so far.
    probes: u64,
}

#[derive(Clone, Copy)]
enum BreakerState {
    /// All calls may ask. There is one bit for each outcome, the newest is the lowest; failures are set.
    Closed {
        outcomes: u32,
        last: Option<Instant>,
    },
    /// No call may ask until then.
    Open {
        until: Instant,
        open_time: Duration,
        /// True if the endpoint itself asked for this pause.
        is_requested: bool,
    },
    /// The probe with this number has been running since then; no other call may ask.
    HalfOpen {
        open_time: Duration,
        since: Instant,
        probe: u64,
    },
}

impl Default for BreakerState {
    fn default() -> BreakerState {
        BreakerState::Closed {
            outcomes: 0,
            last: None,
        }
    }
}

/// The answer to a call that wants to ask the endpoint.
pub(super) enum Permission<'a> {
    /// The call may ask.
    Ask(BreakerPermit<'a>),
    /// Only a read may ask now, as a probe for all calls. This call may not probe.
    ProbeIsDue,
    /// The call may not ask for at least this time.
    Wait(Duration),
}

/// Permission to ask once. If it is dropped without a result, nothing changes: an abandoned probe leaves the place to the next one.
#[must_use]
pub(super) struct BreakerPermit<'a> {
    breaker: &'a Breaker,
    /// The number of the probe, if it is one.
    probe: Option<u64>,
}

impl Breaker {
    /// Returns whether a call may ask now. It may be a probe only if `may_probe`.
    pub(super) fn permit(&self, now: Instant, may_probe: bool) -> Permission<'_> {
        let mut data = self.0.lock();
        let open_time = match data.state {
            BreakerState::Closed { .. } => {
                return Permission::Ask(BreakerPermit {
                    breaker: self,
                    probe: None,
                });
            }
            BreakerState::Open { until, .. } if now < until => {
                return Permission::Wait(until - now);
            }
            // A probe that takes longer than this no longer blocks others.
            BreakerState::HalfOpen {
                open_time, since, ..
            } if now < since + OPEN_TIME_MAX => {
                return Permission::Wait(open_time.min(since + OPEN_TIME_MAX - now));
            }
            BreakerState::Open { open_time, .. } | BreakerState::HalfOpen { open_time, .. } => {
                open_time
            }
        };
        if !may_probe {
            return Permission::ProbeIsDue;
        }
        data.probes += 1;
        let probe = data.probes;
        data.state = BreakerState::HalfOpen {
            open_time,
            since: now,
            probe,
        };
        Permission::Ask(BreakerPermit {
            breaker: self,
            probe: Some(probe),
        })
    }

    /// Returns whether only a probe may ask.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.0.lock().state, BreakerState::Closed { .. })
    }

    /// Notes that the endpoint asks for a pause. Returns whether no such pause was in effect before.
    pub(super) fn pause(&self, now: Instant, wait: Duration) -> bool {
        let mut data = self.0.lock();
        let until = now + wait;
        let before = match data.state {
            BreakerState::Open {
                until,
                is_requested: true,
                ..
            } => Some(until),
            BreakerState::Closed { .. }
            | BreakerState::Open { .. }
            | BreakerState::HalfOpen { .. } => None,
        };
        data.state = BreakerState::Open {
            until: before.map_or(until, |before| before.max(until)),
            open_time: OPEN_TIME,
            is_requested: true,
        };
        before.is_none()
    }

    /// Notes a result, with the number of the probe if it was one. Returns whether the breaker has opened because of it.
    fn record(&self, now: Instant, failure: u32, probe: Option<u64>) -> bool {
        let mut data = self.0.lock();
        match data.state {
            BreakerState::Closed { outcomes, last } => {
                let is_old =
                    last.is_some_and(|last| now.saturating_duration_since(last) > OUTCOME_AGE_MAX);
                let outcomes = if is_old { 0 } else { outcomes };
                let outcomes = (outcomes << 1 | failure) & ((1 << WINDOW) - 1);
                let opens = outcomes.count_ones() >= FAILURES_MAX;
                data.state = if opens {
                    BreakerState::Open {
                        until: now + OPEN_TIME,
                        open_time: OPEN_TIME,
                        is_requested: false,
                    }
                } else {
                    BreakerState::Closed {
                        outcomes,
                        last: Some(now),
                    }
                };
                opens
            }
            // A call that began before the endpoint asked for a pause does not count.
            BreakerState::Open {
                is_requested: true, ..
            } => false,
            // A success of a call that began before the breaker opened counts like a successful probe.
            BreakerState::HalfOpen { .. } | BreakerState::Open { .. } if failure == 0 => {
                data.state = BreakerState::default();
                false
            }
            BreakerState::HalfOpen {
                open_time,
                probe: current,
                ..
            } if probe == Some(current) => {
                let open_time = (open_time * 2).min(OPEN_TIME_MAX);
                data.state = BreakerState::Open {
                    until: now + open_time,
                    open_time,
                    is_requested: false,
                };
                false
            }
            BreakerState::HalfOpen { .. } | BreakerState::Open { .. } => false,
        }
    }

    /// Ends a probe without a result.
    fn abandon_probe(&self, probe: u64) {
        let mut data = self.0.lock();
        if let BreakerState::HalfOpen {
            open_time,
            since,
            probe: current,
        } = data.state
            && current == probe
        {
            data.state = BreakerState::Open {
                until: since,
                open_time,
                is_requested: false,
            };
        }
    }
}

impl BreakerPermit<'_> {
    /// Reports a usable answer, whatever it contains.
    pub(super) fn success(mut self, now: Instant) {
        let probe = self.probe.take();
        self.breaker.record(now, 0, probe);
    }

    /// Reports that there was no connection, no answer, or no usable answer. Returns whether the breaker has opened because of it.
    pub(super) fn failure(mut self, now: Instant) -> bool {
        let probe = self.probe.take();
        self.breaker.record(now, 1, probe)
    }

    /// Reports that the endpoint asks for a pause. Returns whether no such pause was in effect before.
    pub(super) fn pause(mut self, now: Instant, wait: Duration) -> bool {
        self.probe = None;
        self.breaker.pause(now, wait)
    }

    #[cfg(test)]
    pub(super) fn is_probe(&self) -> bool {
        self.probe.is_some()
    }
}

impl Drop for BreakerPermit<'_> {
    fn drop(&mut self) {
        if let Some(probe) = self.probe {
            self.breaker.abandon_probe(probe);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Breaker {
        /// Reports failures until the breaker opens.
        pub(in crate::upstream) fn break_open(&self, now: Instant) {
            while let Permission::Ask(permit) = self.permit(now, true) {
                permit.failure(now);
            }
        }

        /// Returns whether a probe is running.
        pub(in crate::upstream) fn is_probing(&self) -> bool {
            matches!(self.0.lock().state, BreakerState::HalfOpen { .. })
        }

        #[track_caller]
        fn permitted(&self, now: Instant) -> BreakerPermit<'_> {
            match self.permit(now, true) {
                Permission::Ask(permit) => permit,
                Permission::ProbeIsDue | Permission::Wait(_) => panic!("nobody may ask"),
            }
        }

        #[track_caller]
        fn probes(&self, now: Instant) -> BreakerPermit<'_> {
            let permit = self.permitted(now);
            assert!(permit.is_probe());
            permit
        }

        fn remaining_wait(&self, now: Instant) -> Option<Duration> {
            match self.permit(now, true) {
                Permission::Wait(wait) => Some(wait),
                Permission::Ask(_) | Permission::ProbeIsDue => None,
            }
        }
    }

    #[test]
    fn a_failure_rate_of_half_opens_the_breaker_and_a_successful_probe_closes_it() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..9 {
            assert!(!breaker.permitted(now).failure(now));
            breaker.permitted(now).success(now);
        }
        let permit = breaker.permitted(now);
        assert!(!permit.is_probe() && permit.failure(now));
        assert_eq!(breaker.remaining_wait(now), Some(OPEN_TIME));
        let later = now + OPEN_TIME;
        let probe = breaker.probes(later);
        assert_eq!(breaker.remaining_wait(later), Some(OPEN_TIME));
        probe.success(later);
        assert!(!breaker.permitted(later).is_probe());
    }

    #[test]
    fn each_failed_probe_doubles_the_pause_up_to_four_seconds() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        breaker.break_open(now);
        for open_time in [1, 2, 4, 4] {
            let open_time = Duration::from_secs(open_time);
            assert_eq!(breaker.remaining_wait(now), Some(open_time));
            now += open_time;
            breaker.probes(now).failure(now);
        }
    }

    #[test]
    fn a_dropped_probe_is_available_to_the_next_call() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        breaker.break_open(now);
        now += OPEN_TIME;
        for _ in 0..3 {
            drop(breaker.probes(now));
        }
        let panics = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _probe = breaker.probes(now);
            panic!("on purpose");
        }));
        assert!(panics.is_err());
        breaker.probes(now).success(now);
        assert!(!breaker.is_open());
    }

    #[test]
    fn a_stuck_probe_expires_and_another_probe_may_start() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        breaker.break_open(now);
        now += OPEN_TIME;
        let first = breaker.probes(now);
        now += OPEN_TIME_MAX;
        let second = breaker.probes(now);
        // The first probe has expired. Its end no longer counts, and it does not affect the probe that is running now.
        drop(first);
        assert!(breaker.remaining_wait(now).is_some());
        second.success(now);
        assert!(!breaker.is_open());
    }

    #[test]
    fn a_call_that_may_not_probe_gets_probe_is_due_and_takes_no_probe() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        breaker.break_open(now);
        let is_due = |now| matches!(breaker.permit(now, false), Permission::ProbeIsDue);
        assert!(!is_due(now));
        now += OPEN_TIME;
        assert!(is_due(now) && is_due(now));
        let probe = breaker.probes(now);
        assert!(!is_due(now));
        drop(probe);
        assert!(is_due(now));
    }

    #[test]
    fn a_late_failure_does_not_end_a_probe_and_a_late_success_closes_the_breaker() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        let (slow, slower) = (breaker.permitted(now), breaker.permitted(now));
        breaker.break_open(now);
        now += OPEN_TIME;
        let probe = breaker.probes(now);
        assert!(!slow.failure(now));
        assert_eq!(breaker.remaining_wait(now), Some(OPEN_TIME));
        slower.success(now);
        assert!(!breaker.is_open());
        drop(probe);
        assert!(!breaker.is_open());
    }

    #[test]
    fn a_pause_requested_by_the_upstream_outlasts_results_of_earlier_calls() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        let [early, late, first, second] = [(); 4].map(|()| breaker.permitted(now));
        let wait = Duration::from_secs(30);
        assert!(first.pause(now, wait));
        assert!(!second.pause(now, Duration::from_secs(1)));
        early.success(now);
        assert!(!late.failure(now));
        assert_eq!(breaker.remaining_wait(now), Some(wait));
        now += wait;
        let probe = breaker.probes(now);
        assert!(probe.pause(now, wait));
        assert_eq!(breaker.remaining_wait(now), Some(wait));
        now += wait;
        breaker.probes(now).success(now);
        assert!(!breaker.is_open());
    }

    #[test]
    fn old_failures_do_not_open_the_breaker() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..9 {
            breaker.permitted(now).failure(now);
        }
        let later = now + OUTCOME_AGE_MAX + Duration::from_millis(1);
        assert!(!breaker.permitted(later).failure(later));
        assert!(!breaker.permitted(later).is_probe());
    }
}
