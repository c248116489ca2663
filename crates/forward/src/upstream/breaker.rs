//! Whether an endpoint is worth asking. After many failures it is left alone for a moment, then asked by one read, and as
//! soon as that goes well, by everybody. The clock is passed in.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Outcomes that are remembered; no more than a moment's worth under load, so that old ones don't outweigh news.
const WINDOW: u32 = 20;

/// It opens when so many of them, at least, are failures: half, so that one bad method does not shut out the others.
const FAILURES_MAX: u32 = 10;

/// Outcomes older than this say nothing about now.
const MEMORY: Duration = Duration::from_secs(10);

/// How long it stays open at first, and at most: an upstream that is back is noticed within five seconds.
const REST: Duration = Duration::from_secs(1);
const REST_MAX: Duration = Duration::from_secs(4);

/// The breaker of one endpoint.
#[derive(Default)]
pub(super) struct Breaker(Mutex<State>);

#[derive(Clone, Copy)]
enum State {
    /// Everybody may ask. One bit for each outcome, the newest lowest; failures are set.
    Closed {
        outcomes: u32,
        last: Option<Instant>,
    },
    /// Nobody may, until then.
    Open { until: Instant, rest: Duration },
    /// One asks for all.
    HalfOpen { rest: Duration },
}

impl Default for State {
    fn default() -> State {
        State::Closed {
            outcomes: 0,
            last: None,
        }
    }
}

/// Whether somebody may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permission {
    /// Yes.
    Ask,
    /// Yes, for all others: by a read, and whoever has no read to make asks one of its own.
    Probe,
    /// No, for so long at least.
    Wait(Duration),
}

impl Breaker {
    /// Whether somebody may ask now. Who is told to probe has to say how it ended.
    pub(super) fn permit(&self, now: Instant) -> Permission {
        let mut state = self.lock();
        match *state {
            State::Closed { .. } => Permission::Ask,
            State::Open { until, rest } if until <= now => {
                *state = State::HalfOpen { rest };
                Permission::Probe
            }
            State::Open { until, .. } => Permission::Wait(until - now),
            State::HalfOpen { rest } => Permission::Wait(rest),
        }
    }

    /// An answer came that can be used, whatever it says.
    pub(super) fn well(&self, now: Instant) {
        self.note(now, 0);
    }

    /// No connection, no answer, or none that can be used. Says whether the breaker has opened because of it.
    pub(super) fn ill(&self, now: Instant) -> bool {
        self.note(now, 1)
    }

    /// The probe did not come to an end.
    pub(super) fn unknown(&self, now: Instant) {
        let mut state = self.lock();
        if let State::HalfOpen { rest } = *state {
            *state = State::Open { until: now, rest };
        }
    }

    /// Whether nobody but a probe may ask.
    pub(super) fn is_open(&self) -> bool {
        !matches!(*self.lock(), State::Closed { .. })
    }

    fn note(&self, now: Instant, failure: u32) -> bool {
        let mut state = self.lock();
        match *state {
            State::Closed { outcomes, last } => {
                let is_old = last.is_some_and(|last| now.saturating_duration_since(last) > MEMORY);
                let outcomes = if is_old { 0 } else { outcomes };
                let outcomes = (outcomes << 1 | failure) & ((1 << WINDOW) - 1);
                let opens = outcomes.count_ones() >= FAILURES_MAX;
                *state = if opens {
                    State::Open {
                        until: now + REST,
                        rest: REST,
                    }
                } else {
                    State::Closed {
                        outcomes,
                        last: Some(now),
                    }
                };
                opens
            }
            State::HalfOpen { rest } if failure == 1 => {
                let rest = (rest * 2).min(REST_MAX);
                *state = State::Open {
                    until: now + rest,
                    rest,
                };
                false
            }
            // Whoever asked before it opened and is answered now brings the same news as a probe.
            State::HalfOpen { .. } | State::Open { .. } => {
                if failure == 0 {
                    *state = State::default();
                }
                false
            }
        }
    }

    /// The state is whole after every statement, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_last_twenty_open_it_and_a_success_closes_it() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..9 {
            assert!(!breaker.ill(now));
            breaker.well(now);
        }
        assert_eq!(breaker.permit(now), Permission::Ask);
        assert!(breaker.ill(now));
        assert_eq!(breaker.permit(now), Permission::Wait(REST));
        let later = now + REST;
        assert_eq!(breaker.permit(later), Permission::Probe);
        assert_eq!(breaker.permit(later), Permission::Wait(REST));
        breaker.well(later);
        assert_eq!(breaker.permit(later), Permission::Ask);
    }

    #[test]
    fn a_probe_that_fails_rests_longer_and_never_longer_than_four_seconds() {
        let (breaker, mut now) = (Breaker::default(), Instant::now());
        while !breaker.ill(now) {}
        for rest in [1, 2, 4, 4] {
            let rest = Duration::from_secs(rest);
            assert_eq!(breaker.permit(now), Permission::Wait(rest));
            now += rest;
            assert_eq!(breaker.permit(now), Permission::Probe);
            breaker.ill(now);
        }
        now += REST_MAX;
        assert_eq!(breaker.permit(now), Permission::Probe);
        breaker.unknown(now);
        assert_eq!(breaker.permit(now), Permission::Probe);
    }

    #[test]
    fn old_failures_are_forgotten() {
        let (breaker, now) = (Breaker::default(), Instant::now());
        for _ in 0..9 {
            breaker.ill(now);
        }
        let later = now + MEMORY + Duration::from_millis(1);
        assert!(!breaker.ill(later));
        assert_eq!(breaker.permit(later), Permission::Ask);
    }
}
