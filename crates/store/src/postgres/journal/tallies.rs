//! Sums of calls per minute, which are added up over replicas. Each replica repeatedly writes its own totals, so that writing them
//! twice does no harm.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use crate::{JournalKind, JournalRow};

const MINUTE_MS: i64 = 60_000;

/// Maximum number of minutes whose sums are kept. This is far longer than a send or a counted row takes to end.
const MINUTES_MAX: usize = 240;

/// The lowest status of a call that failed because of the gateway or the upstream. A call that the upstream rejected with a code has
/// not failed.
const FAILED_FROM: u16 = 500;

/// The sums of one replica.
#[derive(Default)]
pub(super) struct MinuteTallies(Mutex<Sums>);

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

/// The sums that are to be written: minutes since 1970, calls, and failed calls.
#[derive(Default)]
pub(super) struct DueSums {
    pub(super) minutes: Vec<i64>,
    pub(super) calls: Vec<i64>,
    pub(super) failed: Vec<i64>,
}

/// Returns the first minute that begins at or after this time, in milliseconds since 1970.
pub(super) fn minute_from(ms: i64) -> i64 {
    ms.div_euclid(MINUTE_MS) + i64::from(ms.rem_euclid(MINUTE_MS) > 0)
}

impl MinuteTallies {
    /// Adds this number of calls like `row`, at the time of the row with this id.
    pub(super) fn add(&self, id: i64, row: &JournalRow, calls: u64) {
        if row.kind != JournalKind::Request {
            return;
        }
        let calls = i64::try_from(calls).unwrap_or(i64::MAX);
        let mut sums = self.0.lock();
        let minute = JournalRow::time_of(id).div_euclid(MINUTE_MS);
        let sum = sums.by_minute.entry(minute).or_default();
        sum.calls = sum.calls.saturating_add(calls);
        let has_failed = row.canonical.is_some_and(|status| status >= FAILED_FROM);
        if has_failed && row.upstream_code.is_none() {
            sum.failed = sum.failed.saturating_add(calls);
        }
        sum.is_written = false;
        sums.is_due = true;
    }

    /// Returns whether calls were added since the sums were last written.
    pub(super) fn is_due(&self) -> bool {
        self.0.lock().is_due
    }

    /// Takes the sums that are to be written. Forgets the oldest minutes beyond [`MINUTES_MAX`].
    pub(super) fn take_due(&self) -> DueSums {
        let mut sums = self.0.lock();
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

    /// Marks taken sums as due again, because they were not written.
    pub(super) fn put_back(&self, due: &DueSums) {
        let mut sums = self.0.lock();
        for minute in &due.minutes {
            if let Some(sum) = sums.by_minute.get_mut(minute) {
                sum.is_written = false;
                sums.is_due = true;
            }
        }
    }
}
