//! The ids of a request: a unique id, and the id that the caller chose, if any.

use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{HeaderMap, HeaderName};
use uuid::{NoContext, Timestamp, Uuid};

/// The header that carries the id in the request and in the answer.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Maximum length of a caller's request id, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// The ids of one request. Clones share them.
#[derive(Clone)]
pub(crate) struct RequestId {
    /// The id that the answer shows.
    shown: Arc<str>,
    /// The unique id, if the answer shows the caller's id.
    unique: Option<Arc<str>>,
}

impl RequestId {
    /// Takes the caller's id, if it can be used in a log and a header without changes, and generates an id for this moment since
    /// 1970.
    pub(super) fn of(headers: &HeaderMap, at: Duration) -> RequestId {
        let is_taken = |id: &&str| {
            (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
                && id
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        let given = headers.get(REQUEST_ID);
        match given.and_then(|id| id.to_str().ok()).filter(is_taken) {
            Some(id) => RequestId {
                shown: id.into(),
                unique: Some(generate(at)),
            },
            None => RequestId {
                shown: generate(at),
                unique: None,
            },
        }
    }

    /// Returns the id that the answer shows: the caller's id, if there is one.
    pub(crate) fn shown(&self) -> &str {
        &self.shown
    }

    /// Returns the unique id of this request.
    pub(crate) fn unique(&self) -> &str {
        self.unique.as_deref().unwrap_or(&self.shown)
    }

    /// Returns a random number that was drawn with the id.
    pub(crate) fn chance(&self) -> u64 {
        let id = Uuid::parse_str(self.unique()).unwrap_or_default();
        id.as_u64_pair().1
    }

    /// Returns the id that the caller chose.
    pub(crate) fn callers(&self) -> Option<&str> {
        self.unique.as_ref().map(|_| &*self.shown)
    }
}

/// Generates a UUIDv7. The ids of one millisecond are not ordered, because an order would cost a lock.
fn generate(at: Duration) -> Arc<str> {
    let now = Timestamp::from_unix(NoContext, at.as_secs(), at.subsec_nanos());
    let mut text = Uuid::encode_buffer();
    let text: &str = Uuid::new_v7(now).hyphenated().encode_lower(&mut text);
    text.into()
}
