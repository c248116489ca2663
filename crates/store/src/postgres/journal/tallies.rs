//! Calls by the minute, as they are added up over replicas. Each replica writes its own sums again and again, so that writing them
//! twice does no harm.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{JournalKind, JournalRow};

const MINUTE_MS: i64 = 60_000;

/// Minutes whose sums are kept: far more than a send or a counted row takes to come to its end.
const MINUTES_MAX: usize = 240;

/// A status from which on a call has failed by the gateway's or the upstream's fault.
const FAILED_FROM: u16 = 500;

/// The sums of one replica.
#[derive(Default)]
pub(super) struct Tallies(Mutex<Sums>);

#[derive(Default)]
struct Sums {
    by_minute: BTreeMap<i64, MinuteSum>,
    is_due: bool,
}

/// The calls of a minute.
#[derive(Clone, Copy, Default)]
struct MinuteSum {
    calls: i64,
    failed: i64,
    is_written: bool,
}

/// Sums that are to be written: minutes since 1970, calls, and those of them that failed.
#[derive(Default)]
pub(super) struct DueSums {
    pub(super) minutes: Vec<i64>,
    pub(super) calls: Vec<i64>,
    pub(super) failed: Vec<i64>,
}

/// The first minute that begins at this time or later, in milliseconds since 1970.
pub(super) fn minute_from(ms: i64) -> i64 {
    ms.div_euclid(MINUTE_MS) + i64::from(ms.rem_euclid(MINUTE_MS) > 0)
}

impl Tallies {
    /// Adds so many calls like this row, at the time of the row with this number.
    pub(super) fn add(&self, id: i64, row: &JournalRow, calls: u64) {
        if row.kind != JournalKind::Request {
            return;
        }
        let calls = i64::try_from(calls).unwrap_or(i64::MAX);
        let mut sums = self.sums();
        let minute = JournalRow::time_of(id).div_euclid(MINUTE_MS);
        let sum = sums.by_minute.entry(minute).or_default();
        sum.calls = sum.calls.saturating_add(calls);
        if row.canonical.is_some_and(|status| status >= FAILED_FROM) {
            sum.failed = sum.failed.saturating_add(calls);
        }
        sum.is_written = false;
        sums.is_due = true;
    }

    /// Whether something was added since it was written last.
    pub(super) fn is_due(&self) -> bool {
        self.sums().is_due
    }

    /// What is to be written. Forgets minutes that are long over.
    pub(super) fn take_due(&self) -> DueSums {
        let mut sums = self.sums();
        sums.is_due = false;
        let mut due = DueSums::default();
        for (minute, sum) in &mut sums.by_minute {
            if !std::mem::replace(&mut sum.is_written, true) {
                due.minutes.push(*minute);
                due.calls.push(sum.calls);
                due.failed.push(sum.failed);
            }
        }
        while sums.by_minute.len() > MINUTES_MAX {
            sums.by_minute.pop_first();
        }
        due
    }

    /// What was to be written has not been.
    pub(super) fn put_back(&self, due: &DueSums) {
        let mut sums = self.sums();
        for minute in &due.minutes {
            if let Some(sum) = sums.by_minute.get_mut(minute) {
                sum.is_written = false;
                sums.is_due = true;
            }
        }
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        // Nothing between two changes of it can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
