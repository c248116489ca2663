//! What has to hold of every parser, whatever bytes it is given. Three callers ask: the fuzz targets in
//! `fuzz/fuzz_targets`, the replay of their corpora, and the property tests, both in `tests/` here.
//!
//! An oracle calls a pure function of the product and judges what came out by other means: a second parser, a reader
//! written here for the plain shapes, writing the result and reading it again, or the same call by another way in. It
//! panics when they disagree.

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

/// Longest that one input may take, all judging included: a thread that reads for longer keeps others waiting.
const TIME_MAX: Duration = Duration::from_millis(100);

/// An oracle, and the name of its fuzz target and corpus.
pub struct Target {
    /// The name.
    pub name: &'static str,
    judge: fn(&[u8]),
}

/// All of them.
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
/// When what has to hold does not, when the input takes too long, and when there is no such target.
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.unwrap_or_else(|| panic!("there is no target {name}"));
    target.run(bytes);
}

impl Target {
    /// Judges one input.
    ///
    /// # Panics
    /// When what has to hold does not, and when the input takes too long.
    pub fn run(&self, bytes: &[u8]) {
        let began = Instant::now();
        (self.judge)(bytes);
        let slowest = Duration::from_micros(SLOWEST_US.load(Ordering::Relaxed));
        if began.elapsed() <= slowest {
            return;
        }
        // The machine may have had other things to do meanwhile: what counts is the time that the thread was given.
        let began = on_processor();
        (self.judge)(bytes);
        let took = on_processor().saturating_sub(began);
        assert!(took <= TIME_MAX, "{} took {took:?}", self.name);
        report(took);
    }
}

/// How long this thread has been on a processor, to a few milliseconds. Linux counts it; elsewhere the wall clock stands in.
fn on_processor() -> Duration {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = line.and_then(|line| line.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| BEGAN.elapsed(), Duration::from_nanos)
}

/// The slowest input so far, in microseconds; what is faster than the first figure is not worth a word.
static SLOWEST_US: AtomicU64 = AtomicU64::new(1000);

/// Leaves a line for the report of a long run each time that an input is slower than all before it.
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
    fn what_takes_too_long_is_refused() {
        target("dawdle", dawdle).run(b"");
    }
}
