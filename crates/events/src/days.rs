//! The days around the current time. Datetimes of an upstream are compared only with these, because the upstream's clock may show
//! the time of any time zone.

use jiff::Timestamp;

/// Number of milliseconds of a day.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The ends of the time within which an upstream's clock may be, as datetimes of the usual format.
pub(crate) struct Days {
    /// The beginning of yesterday.
    pub(crate) yesterday: String,
    /// The beginning of the day after tomorrow.
    pub(crate) after_tomorrow: String,
}

impl Days {
    /// Returns the days around a time in milliseconds since 1970, UTC.
    pub(crate) fn around(now_ms: i64) -> Days {
        let day = |ms| {
            let day = Timestamp::from_millisecond(ms).unwrap_or_default();
            day.strftime("%F 00:00:00").to_string()
        };
        Days {
            yesterday: day(now_ms - DAY_MS),
            after_tomorrow: day(now_ms + 2 * DAY_MS),
        }
    }
}
