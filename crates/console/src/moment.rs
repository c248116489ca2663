//! Parses times as operators write them: an instant, a date, a date with a time of day, or a duration from now.

use jiff::civil::{DateTime, Time};
use jiff::fmt::temporal::Pieces;
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Timestamp};
use serde_json::{Value, json};

/// Reads a time in the past and returns milliseconds since 1970, UTC. `now` is in seconds since 1970, UTC.
///
/// An instant is written as in RFC 3339 (`2026-01-31T12:00:00Z`). A date or a date with a time of day (`2026-01-31`, `2026-01-31
/// 12:00`) is in UTC. A duration before now is a number with a unit, or several of them in descending order of units: `90s`,
/// `1h30m`, `2d 6h`, `1w`. A duration that reaches back before 1970 means 1970.
///
/// # Errors
/// Returns one line that lists the accepted forms.
pub(crate) fn time_ms(text: &str, now: i64) -> Result<i64, String> {
    let text = text.trim();
    instant(text)
        .or_else(|| ago(text, now))
        .map(Timestamp::as_millisecond)
        .ok_or_else(|| wrong(text, "a duration before now"))
}

/// Reads a time that may be in the future and returns seconds since 1970, UTC. The forms are those of [`time_ms`], but a duration
/// counts forward from now. A time beyond the calendar's end means the calendar's end.
///
/// # Errors
/// Returns one line that lists the accepted forms.
pub(crate) fn coming_s(text: &str, now: i64) -> Result<i64, String> {
    let text = text.trim();
    instant(text)
        .or_else(|| ahead(text, now))
        .map(Timestamp::as_second)
        .ok_or_else(|| wrong(text, "a duration from now"))
}

fn wrong(text: &str, counted: &str) -> String {
    format!(
        "{text} is not a time; write 2026-01-31T12:00:00Z, 2026-01-31, 2026-01-31 12:00 (UTC), \
         or {counted}: 90s, 15m, 1h30m, 7d, 1w"
    )
}

/// The last two days of the calendar. An instant in them that `Timestamp` can't represent, such as the usual "never"
/// 9999-12-31T23:59:59Z, becomes the last instant that every offset can show.
const LAST_DAYS: DateTime = DateTime::constant(9999, 12, 30, 0, 0, 0, 0);

/// Reads an instant with its offset, or a date with or without a time of day in UTC.
fn instant(text: &str) -> Option<Timestamp> {
    let pieces = Pieces::parse(text).ok()?;
    if pieces.time_zone_annotation().is_some() {
        return None;
    }
    let offset = pieces.to_numeric_offset().unwrap_or(Offset::UTC);
    // RFC 3339 allows at most 23 hours in an offset.
    if offset.seconds().abs() >= DAY_S {
        return None;
    }
    let time = pieces.time().unwrap_or(Time::midnight());
    let time = pieces.date().to_datetime(time);
    let is_last = || (time > LAST_DAYS).then_some(Timestamp::MAX);
    offset.to_timestamp(time).ok().or_else(is_last)
}

/// Seconds in a day.
const DAY_S: i32 = 86_400;

/// Reads a duration and returns the time that long before `now`.
fn ago(text: &str, now: i64) -> Option<Timestamp> {
    let (span, now) = (span(text)?, Timestamp::from_second(now).ok()?);
    let then = now.to_zoned(TimeZone::UTC).checked_sub(span.abs());
    // The duration reaches back beyond the calendar's start.
    let then = then.map_or(Timestamp::UNIX_EPOCH, |then| then.timestamp());
    Some(then.max(Timestamp::UNIX_EPOCH))
}

/// Reads a duration and returns the time that long after `now`.
fn ahead(text: &str, now: i64) -> Option<Timestamp> {
    let span = span(text).filter(|span| !span.is_negative())?;
    let now = Timestamp::from_second(now).ok()?.to_zoned(TimeZone::UTC);
    let then = now.checked_add(span);
    Some(then.map_or(Timestamp::MAX, |then| then.timestamp()))
}

/// Reads a duration, which must begin with a digit: a sign or a bare `P1D` is more likely a mistake.
fn span(text: &str) -> Option<Span> {
    text.starts_with(|c: char| c.is_ascii_digit())
        .then_some(())?;
    text.parse().ok()
}

/// Writes seconds since 1970, UTC, as RFC 3339. A time beyond the range of RFC 3339 becomes the last time in the range.
#[must_use]
pub fn rfc3339(seconds: i64) -> String {
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    time.to_string()
}

/// Writes milliseconds since 1970, UTC, in the same way.
pub(crate) fn rfc3339_ms(ms: i64) -> String {
    let time = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX);
    time.to_string()
}

/// Returns the schema of the text that [`time_ms`] reads.
pub(crate) fn schema() -> Value {
    schema_of("a duration before now")
}

/// Returns the schema of the text that [`coming_s`] reads.
pub(crate) fn coming_schema() -> Value {
    schema_of("a duration from now")
}

fn schema_of(counted: &str) -> Value {
    let pattern = |pattern: &str| json!({"type": "string", "pattern": pattern});
    json!({
        "description": format!("An RFC 3339 time, a date or a date and a time of day in UTC, or {counted}, such as 90s, 1h30m, 7d, 1w."),
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
    fn past_times_are_read_as_dates_or_as_durations_ago() {
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
            ("9999-12-31T23:59:59Z", Ok(Timestamp::MAX.as_second())),
        ] {
            assert_eq!(read(text), wanted, "{text}");
        }
    }

    #[test]
    fn future_times_are_read_as_dates_or_as_durations_from_now() {
        let at = |text: &str| Ok(text.parse::<Timestamp>().unwrap().as_second());
        let end = Ok(Timestamp::MAX.as_second());
        for (text, wanted) in [
            ("2027-01-31T12:00:00+02:00", at("2027-01-31T10:00:00Z")),
            ("2027-01-31", at("2027-01-31T00:00:00Z")),
            ("2027-01-31 12:00", at("2027-01-31T12:00:00Z")),
            ("30d", Ok(NOW + 30 * 86_400)),
            ("1w", Ok(NOW + 604_800)),
            ("1h30m", Ok(NOW + 5400)),
            ("999999w", end.clone()),
            ("9999-12-30T21:59:59Z", at("9999-12-30T21:59:59Z")),
            ("9999-12-31T23:59:59Z", end.clone()),
            ("9999-12-31T23:59:59-23:59", end.clone()),
            ("9999-12-31", end),
        ] {
            assert_eq!(coming_s(text, NOW), wanted, "{text}");
        }
        for text in [
            "",
            "5 hours ago",
            "-1h",
            "tomorrow",
            "10000-01-01",
            "2026-12-31T23:59:59+25:00",
        ] {
            let error = coming_s(text, NOW).expect_err(text);
            assert!(error.contains("a duration from now"), "{error}");
        }
    }

    #[test]
    fn invalid_times_are_rejected_with_examples_of_valid_ones() {
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
            "2026-12-31T23:59:59+25:00",
            "2026-12-31T23:59:59[Europe/Madrid]",
        ] {
            let error = time_ms(text, NOW).expect_err(text);
            assert!(
                error.contains("2026-01-31 12:00 (UTC)") && error.contains("1h30m"),
                "{error}"
            );
        }
    }
}
