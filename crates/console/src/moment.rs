//! Times as operators write them: an instant, a date, a date with a time of day, or how long ago.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde_json::{Value, json};

/// Reads a time and returns milliseconds since 1970, UTC. `now` is in seconds since 1970, UTC.
///
/// An instant is RFC 3339 (`2026-01-31T12:00:00Z`). A date or a date with a time of day (`2026-01-31`, `2026-01-31 12:00`)
/// is in UTC. How long ago is a number with a unit, or several of them from the largest unit down: `90s`, `1h30m`, `2d 6h`,
/// `1w`. What would lie before 1970 is 1970.
///
/// # Errors
/// One line that says what can be written instead.
pub(crate) fn time_ms(text: &str, now: i64) -> Result<i64, String> {
    let text = text.trim();
    instant(text)
        .or_else(|| ago(text, now))
        .map(Timestamp::as_millisecond)
        .ok_or_else(|| {
            format!(
                "{text} is not a time; write 2026-01-31T12:00:00Z, 2026-01-31, 2026-01-31 12:00 (UTC), \
                 or how long ago: 90s, 15m, 1h30m, 7d, 1w"
            )
        })
}

/// An instant with its offset, or a date with or without a time of day in UTC.
fn instant(text: &str) -> Option<Timestamp> {
    let in_utc = || {
        let time: DateTime = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(time).ok()
    };
    text.parse().ok().or_else(in_utc)
}

/// A duration before `now`. Only a number and its unit make one: a sign or a bare `P1D` is more likely a slip of the pen.
fn ago(text: &str, now: i64) -> Option<Timestamp> {
    text.starts_with(|c: char| c.is_ascii_digit())
        .then_some(())?;
    let span: Span = text.parse().ok()?;
    let now = Timestamp::from_second(now).ok()?.to_zoned(TimeZone::UTC);
    let then = now.checked_sub(span.abs());
    // Longer ago than a calendar goes back.
    let then = then.map_or(Timestamp::UNIX_EPOCH, |then| then.timestamp());
    Some(then.max(Timestamp::UNIX_EPOCH))
}

/// Writes seconds since 1970, UTC, as RFC 3339. A time beyond its range becomes the last that it has.
pub(crate) fn rfc3339(seconds: i64) -> String {
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    time.to_string()
}

/// The schema of what [`time_ms`] takes.
pub(crate) fn schema() -> Value {
    let pattern = |pattern: &str| json!({"type": "string", "pattern": pattern});
    json!({
        "description": "An RFC 3339 time, a date or a date and a time of day in UTC, or how long ago, such as 90s, 1h30m, 7d, 1w.",
        "anyOf": [
            {"type": "string", "format": "date-time"},
            {"type": "string", "format": "date"},
            pattern("^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"),
            pattern("^[0-9]{1,6}[wdhms]$"),
            pattern("^[0-9]{1,6}d ?[0-9]{1,6}h$"),
            pattern("^[0-9]{1,6}h ?[0-9]{1,6}m$"),
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2023-11-14T22:13:20Z.
    const NOW: i64 = 1_700_000_000;

    #[test]
    fn times_are_read_as_people_write_them() {
        let read = |text: &str| time_ms(text, NOW).map(|ms| ms / 1000);
        let at = |text: &str| Ok(text.parse::<Timestamp>().unwrap().as_second());
        for (text, wanted) in [
            ("2026-01-31T12:00:00Z", at("2026-01-31T12:00:00Z")),
            ("2026-01-31T12:00:00+02:00", at("2026-01-31T10:00:00Z")),
            ("2026-01-31 12:00:00+02:00", at("2026-01-31T10:00:00Z")),
            ("2026-01-31t12:00:00z", at("2026-01-31T12:00:00Z")),
            ("2026-01-01", at("2026-01-01T00:00:00Z")),
            ("2026-01-01 10:00", at("2026-01-01T10:00:00Z")),
            ("2026-01-01T10:00", at("2026-01-01T10:00:00Z")),
            (" 2026-01-01 10:00:05 ", at("2026-01-01T10:00:05Z")),
            ("90s", Ok(NOW - 90)),
            ("15m", Ok(NOW - 900)),
            ("1h30m", Ok(NOW - 5400)),
            ("1h 30m", Ok(NOW - 5400)),
            ("1d", Ok(NOW - 86_400)),
            ("2d 6h", Ok(NOW - 194_400)),
            ("1w", Ok(NOW - 604_800)),
            ("1w2d", Ok(NOW - 777_600)),
            ("5 hours ago", Ok(NOW - 18_000)),
            ("90 minutes", Ok(NOW - 5400)),
            ("999999w", Ok(0)),
            ("60y", Ok(0)),
        ] {
            assert_eq!(read(text), wanted, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_time_is_refused_with_what_to_write() {
        for text in [
            "",
            "yesterday",
            "h",
            "1",
            "1x",
            "-1h",
            "+1h",
            "30m1h",
            "1h-30m",
            "2026-13-01",
            "2026-02-30",
            "2026-01-01 25:00",
            "10:00",
            "01.02.2026",
            "1/2/2026",
            "1h\u{202e}",
        ] {
            let error = time_ms(text, NOW).expect_err(text);
            assert!(
                error.contains("2026-01-31 12:00 (UTC)") && error.contains("1h30m"),
                "{error}"
            );
        }
    }
}
