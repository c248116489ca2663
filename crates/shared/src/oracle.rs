//! A simple model of a limit, for tests. It defines what a limit has to admit, without the optimizations of the real limiters.

use crate::limit::{CountLimit, TakeRequest, TakenCells};
use std::time::Duration;

/// A limit modelled as a bucket.
///
/// The bucket refills by one call each interval, up to its burst, and each admitted call takes one out.
pub struct OracleLimit {
    limit: CountLimit,
    /// The amount missing from a full bucket, in microseconds of refilling.
    missing_us: u64,
    at_us: u64,
}

impl OracleLimit {
    /// Creates a full bucket.
    #[must_use]
    pub fn new(limit: CountLimit) -> OracleLimit {
        OracleLimit {
            limit,
            missing_us: 0,
            at_us: 0,
        }
    }

    /// Takes calls at this time. The time must never go back.
    pub fn take(&mut self, at_us: u64, take_request: TakeRequest) -> TakenCells {
        self.pass(at_us);
        let free = self.free();
        if free == 0 {
            let wait =
                self.missing_us - (u64::from(self.limit.burst.get()) - 1) * self.limit.interval_us;
            return TakenCells {
                cells: 0,
                wait: Duration::from_micros(wait),
                remaining: 0,
            };
        }
        let part = free / (4 * take_request.replicas);
        let cells = take_request
            .needed
            .max(take_request.wanted.min(part))
            .min(free);
        self.missing_us += u64::from(cells) * self.limit.interval_us;
        TakenCells {
            cells,
            wait: Duration::ZERO,
            remaining: free - cells,
        }
    }

    /// Gives calls back at this time.
    pub fn refund(&mut self, at_us: u64, cells: u32) {
        self.pass(at_us);
        self.missing_us = self
            .missing_us
            .saturating_sub(u64::from(cells) * self.limit.interval_us);
    }

    fn pass(&mut self, at_us: u64) {
        self.missing_us = self.missing_us.saturating_sub(at_us - self.at_us);
        self.at_us = at_us;
    }

    fn free(&self) -> u32 {
        let whole = u64::from(self.limit.burst.get()) * self.limit.interval_us;
        let free = whole.saturating_sub(self.missing_us) / self.limit.interval_us;
        u32::try_from(free).unwrap_or(u32::MAX)
    }
}
