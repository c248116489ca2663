//! A limit as it is counted in the server: so many at once, and one more each interval.

use std::num::NonZeroU32;
use std::time::Duration;

/// A limit. Its interval is in whole microseconds, rounded up, so that no rounding admits one too many; a limit above 600,000 a
/// minute admits up to a hundredth less than it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountLimit {
    /// Most at once.
    pub burst: NonZeroU32,
    /// The time after which one comes back, in microseconds.
    pub interval_us: u64,
}

/// How many of a limit are asked for at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Calls that wait now: as many of them are taken as there are.
    pub needed: u32,
    /// Calls to take in all, those in advance included, but no more than this process's part of what is left.
    pub wanted: u32,
    /// How many ask, this process included.
    pub replicas: u32,
}

/// What was taken of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenCells {
    /// How many; none when there was none left.
    pub cells: u32,
    /// The time until there is one again, when there was none.
    pub wait: Duration,
    /// How many are left.
    pub left: u32,
}

/// What is left of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountLook {
    /// How many are left.
    pub left: u32,
    /// The time until there is one, when there is none.
    pub wait: Duration,
}

impl CountLimit {
    /// A limit of `burst` calls in each `window`, all of which may come at once.
    #[must_use]
    pub fn per(burst: NonZeroU32, window: Duration) -> CountLimit {
        CountLimit::spaced(burst, window / burst.get())
    }

    /// So many at once, and one more after each interval.
    #[must_use]
    pub fn spaced(burst: NonZeroU32, interval: Duration) -> CountLimit {
        let interval_us = interval.as_nanos().div_ceil(1000).max(1);
        CountLimit {
            burst,
            interval_us: u64::try_from(interval_us).unwrap_or(u64::MAX),
        }
    }
}
