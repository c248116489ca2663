//! Reads when a server wants to be asked again.

use std::time::{Duration, SystemTime};

use http::HeaderValue;

/// Returns the pause that a Retry-After header asks for, in seconds or as a date (RFC 9110, 10.2.3). A date is compared with
/// `since`. Returns `None` for an invalid value, for zero, and for a past date.
#[must_use]
pub fn retry_after(value: &HeaderValue, since: SystemTime) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // A number that is too large counts as the largest one.
        let pause = Duration::from_secs(text.parse().unwrap_or(u64::MAX));
        return Some(pause).filter(|pause| !pause.is_zero());
    }
    let date = httpdate::parse_http_date(text).ok()?;
    date.duration_since(since)
        .ok()
        .filter(|pause| !pause.is_zero())
}
