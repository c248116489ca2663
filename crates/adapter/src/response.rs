//! The outcome of a call on its way back to the caller.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::{Code, Delivery, Effect, Error, Operation, Rest, compact};

/// A successful answer of the upstream. A clone shares its text.
#[derive(Clone, Debug)]
pub struct Response(Arc<Told>);

#[derive(Debug)]
struct Told {
    result: String,
    /// How long it is as a dialect writes it that has to look at all of it to say so.
    length: OnceLock<u64>,
}

impl PartialEq for Response {
    fn eq(&self, other: &Response) -> bool {
        self.result() == other.result()
    }
}

impl Eq for Response {}

impl Response {
    /// One without a result, as `{}`.
    #[must_use]
    pub fn empty() -> Response {
        Response::new("{}".to_owned())
    }

    /// Takes the upstream's `result` as JSON text and keeps it value for value on one line; `None` when an object in it holds
    /// a key twice.
    ///
    /// The text must be valid JSON; the caller's parser has proved that.
    #[must_use]
    pub fn of(result: &str) -> Option<Response> {
        let mut result = compact(result)?;
        // A result that was full of white space is not to keep the room of it.
        if result.len() < result.capacity() / 2 {
            result.shrink_to_fit();
        }
        Some(Response::new(result))
    }

    fn new(result: String) -> Response {
        Response(Arc::new(Told {
            result,
            length: OnceLock::new(),
        }))
    }

    /// The result as compact JSON text.
    #[must_use]
    pub fn result(&self) -> &str {
        &self.0.result
    }

    /// A length that follows from the result, measured for the first that asks and known to all others: many callers may be
    /// told one answer. It has to be the same for each.
    #[must_use]
    pub fn length(&self, measure: impl FnOnce() -> u64) -> u64 {
        *self.0.length.get_or_init(measure)
    }

    /// What it weighs in a cache, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.result.len()
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
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status on the wire.
    pub status: u16,
    /// The value of `Content-Type`.
    pub content_type: &'static str,
    /// The values of `WWW-Authenticate`; one header line each.
    pub challenges: &'static [&'static str],
    /// The body, or the beginning of a long one.
    pub body: Bytes,
    /// What follows it.
    pub rest: Option<Rest>,
}
