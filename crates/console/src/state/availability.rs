//! Counts this month's availability and compares it with the promised availability.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use parking_lot::Mutex;
use store::{Store, StoreError, Tally};

/// The promised availability per thousand: at most one of 1,000 calls may end with a status of 500 or more.
const PROMISED_PER_THOUSAND: u64 = 999;

/// Maximum number of rows that one round counts.
const ROWS_PER_BATCH: u32 = 20_000;

/// The age, in milliseconds, below which a row may still be open or stand for calls that are still being counted. Every round
/// counts such rows again until they are older.
const SETTLED_MS: i64 = 90_000;

/// The count of this month so far.
#[derive(Default)]
pub(crate) struct Availability(Mutex<MonthCount>);

#[derive(Clone, Copy, Default)]
struct MonthCount {
    /// The start of the month, in milliseconds since 1970, UTC.
    month_ms: i64,
    /// The count of the settled rows.
    tally: Tally,
    /// True if all settled rows are counted.
    is_whole: bool,
    /// The count of the rows of the last [`SETTLED_MS`]; `None` while there are more than [`ROWS_PER_BATCH`] or settled rows are
    /// missing.
    recent: Option<Tally>,
}

/// The availability as the overview shows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AvailabilityView {
    /// The rate as text, such as `99.95 %`; `None` as long as there were no calls.
    pub(crate) rate: Option<String>,
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    /// The remaining part of the allowed errors, in percent.
    pub(crate) budget_left: u64,
    pub(crate) is_kept: bool,
    pub(crate) is_whole: bool,
    /// True if the calls of the last minute are included.
    pub(crate) is_current: bool,
}

impl Availability {
    /// Continues the count by at most [`ROWS_PER_BATCH`] settled rows. A large journal takes some rounds at first; later rounds cost
    /// next to nothing.
    pub(crate) async fn count(&self, store: &Store, now_ms: i64) {
        let mut counted = *self.0.lock();
        let month_ms = month_start(now_ms);
        if counted.month_ms != month_ms {
            counted = MonthCount {
                month_ms,
                ..MonthCount::default()
            };
        }
        // Store the counts of calls that share a row, so that the tally includes them.
        store.journal().save_counts();
        // The clock counts whole seconds. Add one so that the current second is included.
        let settled_ms = (now_ms - SETTLED_MS).max(month_ms);
        match counted.count_on(store, settled_ms, now_ms + 1000).await {
            Ok(()) => *self.0.lock() = counted,
            Err(error) => {
                tracing::debug!(%error, "the rows of the journal could not be counted")
            }
        }
    }

    /// Returns the availability according to the rows counted so far.
    pub(crate) fn view(&self) -> AvailabilityView {
        let counted = *self.0.lock();
        let recent = counted.recent.unwrap_or_default();
        AvailabilityView {
            is_whole: counted.is_whole,
            is_current: counted.recent.is_some(),
            ..view(
                counted.tally.calls + recent.calls,
                counted.tally.failed + recent.failed,
            )
        }
    }
}

impl MonthCount {
    /// Counts settled rows from where the last round ended, and then recounts the young rows. Times are in milliseconds since 1970,
    /// UTC.
    async fn count_on(
        &mut self,
        store: &Store,
        settled_ms: i64,
        now_ms: i64,
    ) -> Result<(), StoreError> {
        let settled = (self.month_ms, settled_ms);
        (self.tally, self.is_whole) = store.tally(settled, self.tally, ROWS_PER_BATCH).await?;
        let young = (settled_ms, now_ms);
        let (recent, is_all) = store.tally(young, Tally::default(), ROWS_PER_BATCH).await?;
        self.recent = (self.is_whole && is_all).then_some(recent);
        Ok(())
    }
}

fn view(calls: u64, failed: u64) -> AvailabilityView {
    let allowed = calls as f64 * (1000 - PROMISED_PER_THOUSAND) as f64 / 1000.0;
    let left = if failed == 0 {
        1.0
    } else {
        (1.0 - failed as f64 / allowed.max(f64::MIN_POSITIVE)).max(0.0)
    };
    // Round down, because the page must not claim more than was reached.
    let rate = (calls > 0).then(|| {
        let part = ((calls - failed) as f64 / calls as f64 * 100_000.0).floor() / 1000.0;
        format!("{part:.3} %")
    });
    AvailabilityView {
        rate,
        calls,
        failed,
        budget_left: (left * 100.0).floor() as u64,
        is_kept: failed as f64 <= allowed,
        is_whole: true,
        is_current: true,
    }
}

fn month_start(now_ms: i64) -> i64 {
    let now = Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::UNIX_EPOCH);
    let date = now.to_zoned(TimeZone::UTC).date().first_of_month();
    let start = TimeZone::UTC.to_timestamp(DateTime::from(date));
    start.map_or(0, Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_budget_is_a_thousandth_of_the_calls() {
        assert_eq!(view(0, 0).rate, None);
        let half = view(10_000, 5);
        assert_eq!(
            (half.rate.as_deref(), half.budget_left, half.is_kept),
            (Some("99.950 %"), 50, true)
        );
        let over = view(10_000, 11);
        assert_eq!((over.budget_left, over.is_kept), (0, false));
        assert_eq!(
            view(1_000_000, 1).rate.as_deref(),
            Some("99.999 %"),
            "never rounded up"
        );
    }

    #[test]
    fn month_start_returns_midnight_of_the_first_day() {
        let ms = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        assert_eq!(
            month_start(ms("2026-02-28T23:59:59Z")),
            ms("2026-02-01T00:00:00Z")
        );
        assert_eq!(
            month_start(ms("2026-03-01T00:00:00Z")),
            ms("2026-03-01T00:00:00Z")
        );
    }
}
