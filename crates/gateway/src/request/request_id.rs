//! The ids of a request: ours, which no other has, and the one that its caller may have chosen, which is told to them.

use std::time::Duration;

use http::HeaderValue;
use uuid::{NoContext, Timestamp, Uuid};

/// Longest request id taken from a caller, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// The id that the caller is told, and ours if that is another one: the caller's own is taken when it can stand in a log and
/// a header as it is.
pub(super) fn of(given: Option<&HeaderValue>, at: Duration) -> (String, Option<String>) {
    let fits = |id: &&str| {
        (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
            && id
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    match given.and_then(|value| value.to_str().ok()).filter(fits) {
        Some(id) => (id.to_owned(), Some(fresh_id(at))),
        None => (fresh_id(at), None),
    }
}

/// A UUIDv7 of a moment since 1970. Those of one millisecond have no order among them, which would cost a lock.
fn fresh_id(at: Duration) -> String {
    let now = Timestamp::from_unix(NoContext, at.as_secs(), at.subsec_nanos());
    let mut text = Uuid::encode_buffer();
    Uuid::new_v7(now)
        .hyphenated()
        .encode_lower(&mut text)
        .to_owned()
}
