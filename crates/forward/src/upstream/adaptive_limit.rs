//! An adaptive concurrency limit by the gradient algorithm (as in Netflix's concurrency-limits, with its slow start). It finds the
//! number of concurrent calls that the upstream can handle from the durations of the calls, below the configured ceiling. The clock
//! is passed in.
//!
//! Each operation is compared with its own base duration, measured when hardly any other call is in progress, because a send takes
//! longer than a read. If calls take longer than that by more than a tolerance, they queue inside the upstream. Then the limit
//! shrinks with the ratio, so that they wait here instead, where accesses take turns. Otherwise the limit grows if calls wait for a
//! permit. If the upstream always has load, the load is reduced for a moment now and then to measure the base durations again.
//!
//! The limit begins at a part of the ceiling. Until the first slow window it grows with every call that was not slow, so that it
//! doubles in the time of one call. An excessive limit is noticed before so many calls are in the upstream that all are late.

use std::time::{Duration, Instant};

/// Shortest window, and fewest calls in it. Less would be random.
const WINDOW: Duration = Duration::from_millis(100);
const WINDOW_CALLS: u32 = 20;

/// Minimum number of permits, unless the ceiling is lower. So few calls hardly delay each other, so they show the base duration. An
/// upstream that became slow for another reason is measured again and used again.
const LIMIT_MIN: usize = 4;

/// The initial limit is the ceiling that the operator configured, divided by `INITIAL_DIVISOR`, but at least `INITIAL_MIN`.
const INITIAL_DIVISOR: usize = 4;
const INITIAL_MIN: usize = 64;

/// Weight of the last call in the base duration.
const WEIGHT: f64 = 0.125;

/// Tolerated duration of a call: half as much again as the base duration, plus the delay that a busy machine adds.
const TOLERANCE: f64 = 1.5;
const SLACK: Duration = Duration::from_millis(5);

/// Maximum reduction by one window.
const SHRINK_MAX: f64 = 0.5;

/// After `MEASURE_EVERY` without a call that ran almost alone, the limit is at its minimum until `MEASURE_CALLS` such calls have
/// ended, but no longer than `MEASURE_MAX`.
const MEASURE_EVERY: Duration = Duration::from_secs(30);
const MEASURE_CALLS: u32 = 8;
const MEASURE_MAX: Duration = Duration::from_secs(2);

/// The limit of one upstream.
#[derive(Clone)]
pub(super) struct AdaptiveLimit {
    ceiling: usize,
    limit: f64,
    /// True until the first slow window.
    is_slow_start: bool,
    window: Option<LimitWindow>,
    /// The base duration of each operation when hardly any other call is in progress, in seconds.
    baselines: Vec<(&'static str, f64)>,
    /// The time when the last such call ended.
    baseline_at: Option<Instant>,
    measuring: Option<Measurement>,
}

/// The calls that ended in one window.
#[derive(Clone)]
struct LimitWindow {
    since: Instant,
    calls: u32,
    /// The sums of the durations and of the tolerated durations, in seconds.
    durations: f64,
    tolerated: f64,
    /// Maximum number of concurrent calls.
    concurrency_max: usize,
    had_waiters: bool,
}

#[derive(Clone)]
struct Measurement {
    since: Instant,
    calls: u32,
}

/// One attempt that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndedAttempt {
    /// The operation of the call.
    pub(super) operation: &'static str,
    pub(super) duration: Duration,
    /// True if there was a usable answer. A failure counts only if it took long.
    pub(super) is_success: bool,
    /// Calls in progress when the call got its permit, including itself.
    pub(super) in_flight_at_start: usize,
    /// Calls in progress now, including itself.
    pub(super) under_way: usize,
    /// True if a call waits for a permit.
    pub(super) has_waiters: bool,
}

impl AdaptiveLimit {
    /// Creates a limit below this ceiling.
    pub(super) fn new(ceiling: usize) -> AdaptiveLimit {
        let limit = (ceiling / INITIAL_DIVISOR).max(INITIAL_MIN).min(ceiling);
        AdaptiveLimit {
            ceiling,
            limit: limit as f64,
            is_slow_start: true,
            window: None,
            baselines: Vec::new(),
            baseline_at: None,
            measuring: None,
        }
    }

    /// Returns the current maximum number of concurrent calls.
    pub(super) fn permits(&self) -> usize {
        if self.measuring.is_some() {
            self.limit_min()
        } else {
            (self.limit as usize).clamp(self.limit_min(), self.ceiling)
        }
    }

    /// Returns the ceiling.
    pub(super) fn ceiling(&self) -> usize {
        self.ceiling
    }

    /// Returns the same limit below another ceiling.
    pub(super) fn with_ceiling(mut self, ceiling: usize) -> AdaptiveLimit {
        self.ceiling = ceiling;
        self
    }

    fn limit_min(&self) -> usize {
        LIMIT_MIN.min(self.ceiling)
    }

    /// Records an attempt that has ended.
    pub(super) fn ended(&mut self, ended: EndedAttempt, now: Instant) {
        let took = ended.duration.as_secs_f64();
        let is_alone = ended.in_flight_at_start <= LIMIT_MIN;
        let base = self
            .baselines
            .iter()
            .find(|(operation, _)| *operation == ended.operation)
            .map(|(_, base)| *base);
        // Without a base duration the call counts as not slow.
        let tolerated = base.map_or(took, |base| base * TOLERANCE + SLACK.as_secs_f64());
        if !ended.is_success && took <= tolerated {
            return;
        }
        if ended.is_success && is_alone {
            self.learn(ended.operation, took);
            self.baseline_at = Some(now);
        }
        self.measure(is_alone, now);
        if self.is_slow_start && ended.has_waiters && took <= tolerated {
            self.limit = (self.limit + 1.0).min(self.ceiling as f64);
        }
        let window = self.window.get_or_insert(LimitWindow {
            since: now,
            calls: 0,
            durations: 0.0,
            tolerated: 0.0,
            concurrency_max: 0,
            had_waiters: false,
        });
        window.calls += 1;
        window.durations += took;
        window.tolerated += tolerated;
        window.concurrency_max = window.concurrency_max.max(ended.under_way);
        window.had_waiters |= ended.has_waiters;
        let lasted = now.saturating_duration_since(window.since);
        if lasted >= WINDOW && window.calls >= WINDOW_CALLS {
            self.close_window();
        }
    }

    fn learn(&mut self, operation: &'static str, took: f64) {
        match self
            .baselines
            .iter_mut()
            .find(|(name, _)| *name == operation)
        {
            Some((_, base)) => *base += (took - *base) * WEIGHT,
            None => self.baselines.push((operation, took)),
        }
    }

    /// Begins to measure when it is time, and ends when enough calls have been measured.
    fn measure(&mut self, is_alone: bool, now: Instant) {
        let since = |then| now.saturating_duration_since(then);
        match &mut self.measuring {
            None => {
                let last = *self.baseline_at.get_or_insert(now);
                if since(last) >= MEASURE_EVERY {
                    self.measuring = Some(Measurement {
                        since: now,
                        calls: 0,
                    });
                }
            }
            Some(measuring) => {
                measuring.calls += u32::from(is_alone);
                if measuring.calls >= MEASURE_CALLS || since(measuring.since) >= MEASURE_MAX {
                    self.measuring = None;
                    self.baseline_at = Some(now);
                }
                // The calls of this window would reveal nothing about the limit.
                self.window = None;
            }
        }
    }

    fn close_window(&mut self) {
        let Some(window) = self.window.take() else {
            return;
        };
        let gradient = window.tolerated / window.durations.max(f64::MIN_POSITIVE);
        if gradient < 1.0 {
            // Permits that were not in use did not cause the delay.
            self.limit = self.limit.min(window.concurrency_max as f64) * gradient.max(SHRINK_MAX);
            self.is_slow_start = false;
        } else if window.had_waiters {
            // Grows no further than to the limit at which calls would take the tolerated duration.
            self.limit = (self.limit + self.limit.sqrt()).min(self.limit * gradient);
        } else if self.limit < self.ceiling as f64 && window.concurrency_max * 2 < self.permits() {
            // The limit was not needed for a while, so the measured value is outdated.
            self.limit += 1.0;
        }
        self.limit = self
            .limit
            .clamp(self.limit_min() as f64, self.ceiling as f64);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// An upstream that processes `workers` calls at the same time, each for `service`, and queues the others. It gets more calls
    /// than it can process. Time moves in steps of a millisecond.
    struct Model {
        limit: AdaptiveLimit,
        now: Instant,
        workers: usize,
        service: Duration,
        /// The calls in progress with the times when they began and will end, and the queued calls with the time when they began;
        /// each with the number of calls at its start.
        in_work: Vec<(Instant, Instant, usize)>,
        waits: VecDeque<(Instant, usize)>,
    }

    impl Model {
        fn new(ceiling: usize, workers: usize, service_ms: u64) -> Model {
            Model {
                limit: AdaptiveLimit::new(ceiling),
                now: Instant::now(),
                workers,
                service: Duration::from_millis(service_ms),
                in_work: Vec::new(),
                waits: VecDeque::new(),
            }
        }

        /// Returns the number of calls that ended, and the shortest duration among the slowest hundredth of them.
        fn run(&mut self, seconds: u64, offered: usize) -> (usize, Duration) {
            let mut took = Vec::new();
            for _ in 0..seconds * 1000 {
                self.now += Duration::from_millis(1);
                let now = self.now;
                let under_way = self.in_work.len() + self.waits.len();
                let (done, in_work) = std::mem::take(&mut self.in_work)
                    .into_iter()
                    .partition::<Vec<_>, _>(|(_, until, _)| *until <= now);
                self.in_work = in_work;
                for (began, _, in_flight_at_start) in done {
                    took.push(now - began);
                    let ended = EndedAttempt {
                        operation: "read",
                        duration: now - began,
                        is_success: true,
                        in_flight_at_start,
                        under_way,
                        has_waiters: offered > under_way,
                    };
                    self.limit.ended(ended, now);
                }
                while self.in_work.len() + self.waits.len() < self.limit.permits().min(offered) {
                    let in_flight_at_start = self.in_work.len() + self.waits.len() + 1;
                    self.waits.push_back((now, in_flight_at_start));
                }
                while self.in_work.len() < self.workers {
                    let Some((began, with)) = self.waits.pop_front() else {
                        break;
                    };
                    self.in_work.push((began, now + self.service, with));
                }
            }
            took.sort_unstable();
            let slow = took.get(took.len() * 99 / 100).copied();
            (took.len(), slow.unwrap_or_default())
        }
    }

    #[test]
    fn the_limit_finds_and_uses_the_capacity_of_the_upstream() {
        for (workers, service_ms) in [(10, 20), (2, 5), (100, 50), (40, 300)] {
            let mut model = Model::new(256, workers, service_ms);
            model.run(3, 1000);
            let (calls, slow) = model.run(60, 1000);
            let most = 60 * 1000 / usize::try_from(service_ms).unwrap() * workers;
            assert!(calls * 100 >= most * 90, "{calls} of {most}");
            let allowed = model.service * 2 + SLACK * 3;
            assert!(slow <= allowed, "{workers} at {service_ms} ms: {slow:?}");
        }
    }

    #[test]
    fn a_sudden_overload_delays_at_most_one_percent_of_calls() {
        for (workers, service_ms) in [(10, 50), (20, 100), (5, 20)] {
            let mut model = Model::new(256, workers, service_ms);
            // The base duration is known after this.
            model.run(1, 2);
            let (_, slow) = model.run(60, 1000);
            let allowed = model.service * 2 + SLACK * 3;
            assert!(slow <= allowed, "{workers} at {service_ms} ms: {slow:?}");
        }
    }

    #[test]
    fn the_limit_doubles_within_one_call_duration_up_to_the_ceiling() {
        let mut model = Model::new(1024, 2000, 1000);
        model.run(1, 2000);
        assert_eq!(model.limit.permits(), 256);
        for permits in [512, 1024, 1024] {
            model.run(1, 2000);
            assert!(
                model.limit.permits().abs_diff(permits) <= 2,
                "{}",
                model.limit.permits()
            );
        }
    }

    #[test]
    fn the_limit_is_the_ceiling_if_the_upstream_handles_all_calls() {
        let mut model = Model::new(64, 64, 20);
        model.run(10, 1000);
        assert_eq!(model.limit.permits(), 64);
    }

    #[test]
    fn the_limit_recovers_when_calls_become_slower_without_overload() {
        let mut model = Model::new(64, 64, 20);
        model.run(10, 1000);
        model.service = Duration::from_millis(200);
        model.run(15, 1000);
        assert!(model.limit.permits() > 48, "{}", model.limit.permits());
    }

    #[test]
    fn the_limit_grows_within_two_seconds_after_capacity_returns() {
        let mut model = Model::new(64, 4, 20);
        model.run(10, 1000);
        assert!(model.limit.permits() < 12, "{}", model.limit.permits());
        model.workers = 64;
        model.run(2, 1000);
        assert!(model.limit.permits() > 40, "{}", model.limit.permits());
    }

    #[test]
    fn fast_failures_keep_the_limit_and_slow_failures_lower_it() {
        let (mut limit, mut now) = (AdaptiveLimit::new(64), Instant::now());
        let mut ended = |is_success, took_ms| {
            now += Duration::from_millis(10);
            let ended = EndedAttempt {
                operation: "read",
                duration: Duration::from_millis(took_ms),
                is_success,
                in_flight_at_start: 2,
                under_way: 64,
                has_waiters: true,
            };
            limit.ended(ended, now);
            limit.permits()
        };
        ended(true, 100);
        for _ in 0..100 {
            assert_eq!(ended(false, 1), 64);
        }
        for _ in 0..100 {
            ended(false, 1000);
        }
        assert!(ended(false, 1000) < 16);
    }
}
