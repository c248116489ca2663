//! The outcome of a call, as an adapter renders it.

use crate::code::Code;
use crate::error::{Delivery, Error};
use crate::operation::{Effect, Operation};
use crate::response::Response;

/// Everything that an adapter may show to a caller.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The id of this request, as it appears in the log and in the header `X-Request-ID`.
    pub request_id: &'a str,
    /// The operation; `None` as long as it is not known.
    pub operation: Option<&'static Operation>,
    /// The response, or the error.
    pub outcome: Result<&'a Response, &'a Error>,
}

impl Answer<'_> {
    /// Returns the delivery word: every answer to a send carries it, and so does every error before dispatch.
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

    /// Returns the error code, or `None` if the call succeeded.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        self.outcome.err().map(Error::code)
    }
}
