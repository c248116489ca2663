//! Reads from an answer when the upstream wants to be asked again (RFC 9110, 10.2.3): with 429 (RFC 6585, 4) and 503, in seconds or
//! as a date.

use std::time::{Duration, SystemTime};

use client::retry_after;
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};

/// Longest accepted time. A mistake, or an attempt to lock all callers out, costs no more than this before the upstream is asked
/// again. Quotas that refill by the minute are within it.
pub(super) const BELIEVED_MAX: Duration = Duration::from_secs(300);

/// Returns the pause that an answer asks for, if it does. A date is compared with the answer's own `Date`, so that the two clocks
/// need not agree, or with `now` if there is none.
pub(super) fn requested_pause(
    status: StatusCode,
    headers: &HeaderMap,
    now: impl Fn() -> SystemTime,
) -> Option<Duration> {
    if !matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    ) {
        return None;
    }
    let since = || headers.get(DATE).and_then(date).unwrap_or_else(&now);
    let values = headers.get_all(RETRY_AFTER).iter();
    let longest = values
        .filter_map(|value| retry_after(value, since()))
        .max()?;
    Some(longest.min(BELIEVED_MAX))
}

fn date(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?.trim()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    #[track_caller]
    fn check(status: u16, headers: &[(&'static str, &str)], expected: Option<u64>) {
        let now = || SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        let pairs = headers.iter().map(|(name, value)| {
            let name = http::HeaderName::from_static(name);
            (name, HeaderValue::from_str(value).unwrap())
        });
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(name, value);
        }
        let status = StatusCode::from_u16(status).unwrap();
        let wait = requested_pause(status, &map, now);
        assert_eq!(wait, expected.map(Duration::from_secs), "{headers:?}");
    }

    #[test]
    fn retry_after_seconds_and_dates_are_read_and_capped() {
        for status in [429, 503] {
            check(status, &[("retry-after", "7")], Some(7));
        }
        for status in [200, 301, 500, 502] {
            check(status, &[("retry-after", "7")], None);
        }
        let most = Some(BELIEVED_MAX.as_secs());
        check(503, &[("retry-after", "86400")], most);
        check(503, &[("retry-after", &"9".repeat(50))], most);
        // 1,700,000,000 is 22:13:20 on that day. The dates are in all three forms (RFC 9110, 5.6.7).
        for date in [
            "Tue, 14 Nov 2023 22:13:50 GMT",
            "Tuesday, 14-Nov-23 22:13:50 GMT",
            "Tue Nov 14 22:13:50 2023",
        ] {
            check(503, &[("retry-after", date)], Some(30));
        }
        check(
            503,
            &[("retry-after", "Fri, 14 Nov 2036 22:13:50 GMT")],
            most,
        );
        // The upstream's clock is an hour ahead.
        let ahead = [
            ("date", "Tue, 14 Nov 2023 23:13:20 GMT"),
            ("retry-after", "Tue, 14 Nov 2023 23:13:25 GMT"),
        ];
        check(503, &ahead, Some(5));
        check(429, &[("retry-after", "3"), ("retry-after", "9")], Some(9));
    }

    #[test]
    fn missing_or_invalid_retry_after_values_are_ignored() {
        check(503, &[], None);
        for value in [
            "",
            "0",
            "-5",
            "+5",
            "1.5",
            "5s",
            "soon",
            "Tue, 14 Nov 2023 22:13:00 GMT",
        ] {
            check(503, &[("retry-after", value)], None);
        }
        check(
            503,
            &[("retry-after", "soon"), ("retry-after", "2")],
            Some(2),
        );
    }
}
