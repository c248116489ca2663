//! Limits as the server counts them: a burst, and one more call after each interval.

use std::num::NonZeroU32;
use std::time::Duration;

/// A limit. Its interval is in whole microseconds, rounded up, so that rounding never admits one call too many. A limit above
/// 600,000 a minute admits up to one percent less than configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountLimit {
    /// Maximum number of calls at the same time.
    pub burst: NonZeroU32,
    /// The time after which one call becomes available again, in microseconds.
    pub interval_us: u64,
}

/// The number of calls to take from a limit in one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakeRequest {
    /// The number of calls that wait now. All of them are taken if the limit has that many left.
    pub needed: u32,
    /// The total number of calls to take, including calls taken in advance, but no more than this process's share of the remaining
    /// calls.
    pub wanted: u32,
    /// The number of replicas that take from the limit, including this one.
    pub replicas: u32,
}

/// The result of taking calls from a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenCells {
    /// The number of calls taken; zero if none remained.
    pub cells: u32,
    /// The time until a call is available again; zero if calls were taken.
    pub wait: Duration,
    /// The number of calls that remain.
    pub remaining: u32,
}

/// The state of a limit, read without taking calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountPeek {
    /// The number of calls that remain.
    pub remaining: u32,
    /// The time until a call is available; zero if calls remain.
    pub wait: Duration,
}

impl CountLimit {
    /// Creates a limit of `burst` calls in each `window`, all of which may come at the same time.
    #[must_use]
    pub fn per(burst: NonZeroU32, window: Duration) -> CountLimit {
        CountLimit::spaced(burst, window / burst.get())
    }

    /// Creates a limit of `burst` calls at the same time and one more after each `interval`.
    #[must_use]
    pub fn spaced(burst: NonZeroU32, interval: Duration) -> CountLimit {
        let interval_us = interval.as_nanos().div_ceil(1000).max(1);
        CountLimit {
            burst,
            interval_us: u64::try_from(interval_us).unwrap_or(u64::MAX),
        }
    }
}
