//! A request as it arrived, before it is decoded.

use bytes::Bytes;
use http::HeaderMap;

/// The bytes of a request.
#[derive(Clone, Copy, Debug)]
pub struct Wire<'a> {
    /// The query of the request target, still encoded; empty if there is none. May contain raw UTF-8.
    pub query: &'a str,
    /// All header fields.
    pub headers: &'a HeaderMap,
    /// The whole body, already limited in size; empty before it has been read.
    pub body: &'a Bytes,
}

impl Wire<'_> {
    /// Returns the value of a header, or `None` if it is absent or not printable ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}
