//! The reply that an adapter sends to the caller.

use bytes::Bytes;

use crate::rest::BodyRest;

/// A rendered answer.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status on the wire.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The values of `WWW-Authenticate`, one header line each.
    pub challenges: &'static [&'static str],
    /// The body, or the beginning of a long one.
    pub body: Bytes,
    /// The rest of a long body.
    pub rest: Option<BodyRest>,
}
