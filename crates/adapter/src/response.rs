//! The outcome of a call on its way back to the caller.

use bytes::Bytes;

use crate::{Code, Delivery, Effect, Error, Operation, compact};

/// A successful answer of the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    result: Box<str>,
}

impl Response {
    /// One without a result, as `{}`.
    #[must_use]
    pub fn empty() -> Response {
        Response {
            result: "{}".into(),
        }
    }

    /// Takes the upstream's `result` as JSON text and keeps it value for value on one line; `None` when an object in it holds
    /// a key twice.
    ///
    /// The text must be valid JSON; the caller's parser has proved that.
    #[must_use]
    pub fn of(result: &str) -> Option<Response> {
        let result = compact(result)?.into();
        Some(Response { result })
    }

    /// The result as compact JSON text.
    #[must_use]
    pub fn result(&self) -> &str {
        &self.result
    }

    /// What it weighs in a cache, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.result.len()
    }
}

/// All that an adapter may tell a caller.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The id of this request, as in the log and in the header `X-Request-ID`.
    pub request_id: &'a str,
    /// The operation, once it is known.
    pub operation: Option<&'static Operation>,
    /// How it ended.
    pub outcome: Result<&'a Response, &'a Error>,
}

impl Answer<'_> {
    /// The delivery word: on every answer to a send, and on every refusal before dispatch.
    #[must_use]
    pub fn delivery(&self) -> Option<Delivery> {
        match self.outcome {
            Ok(_) => self
                .operation
                .filter(|op| op.effect == Effect::Send)
                .map(|_| Delivery::Sent),
            Err(error) => error.delivery(),
        }
    }

    /// The code, unless the call succeeded.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        self.outcome.err().map(Error::code)
    }
}

/// Bytes for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status on the wire.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The values of `WWW-Authenticate`; one header line each.
    pub challenges: &'static [&'static str],
    /// The body.
    pub body: Bytes,
}
