//! Oracles: properties that every parser must have, whatever bytes it gets. They are used by the fuzz targets in
//! `fuzz/fuzz_targets`, by the replay of their corpora, and by the property tests; the latter two are in `tests/` here.
//!
//! An oracle calls a pure function of the product and judges the result by other means: a second parser, a reader for the plain
//! shapes that is written here, writing the result and reading it again, or the same call by another way in. It panics if the
//! results disagree.

mod basic;
mod config;
mod edge;
mod events;
mod form;
mod forwarded;
mod json;
mod json_reader;
mod jwt;
mod multipart;
mod proxy;
mod reading;
mod same_call;
mod soap;
mod upstream;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Maximum time for one input, including all judging, because a thread that reads for longer delays other calls.
const TIME_MAX: Duration = Duration::from_millis(100);

/// An oracle, and the name of its fuzz target and corpus.
pub struct Target {
    /// The name of the fuzz target and of its corpus.
    pub name: &'static str,
    judge: fn(&[u8]),
}

/// All oracles.
pub static TARGETS: [Target; 13] = [
    target("basic", basic::judge),
    target("config", config::judge),
    target("edge", edge::judge),
    target("events", events::judge),
    target("form", form::judge),
    target("forwarded", forwarded::judge),
    target("json", json::judge),
    target("jwt", jwt::judge),
    target("multipart", multipart::judge),
    target("proxy", proxy::judge),
    target("same_call", same_call::judge),
    target("soap", soap::judge),
    target("upstream", upstream::judge),
];

const fn target(name: &'static str, judge: fn(&[u8])) -> Target {
    Target { name, judge }
}

/// Judges one input for the target of this name.
///
/// # Panics
/// When a property does not hold, when the input takes too long, and when there is no such target.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.unwrap_or_else(|| panic!("there is no target {name}"));
    target.run(bytes);
}

impl Target {
    /// Judges one input.
    ///
    /// # Panics
    /// When a property does not hold, and when the input takes too long.
    pub fn run(&self, bytes: &[u8]) {
        let began = Instant::now();
        (self.judge)(bytes);
        let slowest = Duration::from_micros(SLOWEST_US.load(Ordering::Relaxed));
        if began.elapsed() <= slowest {
            return;
        }
        // The machine may have been busy, so only the thread's own processor time counts.
        let began = on_processor();
        (self.judge)(bytes);
        let took = on_processor().saturating_sub(began);
        assert!(took <= TIME_MAX, "{} took {took:?}", self.name);
        report(took);
    }
}

/// Returns the time that this thread has been on a processor, to a few milliseconds. Linux counts it; on other systems the wall
/// clock is used.
fn on_processor() -> Duration {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = line.and_then(|line| line.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| BEGAN.elapsed(), Duration::from_nanos)
}

/// The time of the slowest input so far, in microseconds. Inputs faster than the initial value are not reported.
static SLOWEST_US: AtomicU64 = AtomicU64::new(1000);

/// Prints a line for the report of a long run whenever an input is slower than all before it.
fn report(took: Duration) {
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    if SLOWEST_US.fetch_max(took_us, Ordering::Relaxed) < took_us {
        eprintln!("slowest input so far: {took_us} us");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dawdle(_: &[u8]) {
        let began = on_processor();
        while on_processor() - began < TIME_MAX + Duration::from_millis(50) {}
    }

    #[test]
    #[should_panic(expected = "dawdle took")]
    fn a_target_that_takes_too_long_panics() {
        target("dawdle", dawdle).run(b"");
    }
}
