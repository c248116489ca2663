//! The outcome of a request.

use std::time::Duration;

use adapter::{Answer, Error, Response as Success};

/// The outcome of a request for the log, the metrics and the journal.
#[derive(Default)]
pub(crate) struct RequestOutcome<'a> {
    /// The time from the head of the request to its answer. Log, metrics and journal show the same value.
    pub(crate) took: Duration,
    /// The status on the wire; 0 if there was no answer.
    pub(crate) wire_status: u16,
    pub(crate) canonical: u16,
    /// The error's word, which may be the upstream's own; empty if there is no error.
    pub(crate) code: &'a str,
    /// The word of the error's code, which is always one of the gateway's codes; empty if there is no error.
    pub(crate) refusal: &'static str,
    /// The delivery word of a send; empty for other requests.
    pub(crate) delivery: &'static str,
    pub(crate) cause: &'a str,
    /// The walk to the caller's address, if the request is rejected and a forwarded header was read.
    pub(crate) walk: Option<String>,
    /// The result; `None` if there was no answer.
    pub(crate) result: Option<Result<&'a Success, &'a Error>>,
}

impl<'a> RequestOutcome<'a> {
    /// Returns the outcome of an answer with this status. The caller sets `delivery` and `walk`.
    pub(crate) fn of(answer: &Answer<'a>, wire_status: u16, took: Duration) -> RequestOutcome<'a> {
        let error = answer.outcome.err();
        RequestOutcome {
            took,
            wire_status,
            canonical: error.map_or(200, |error| error.code().status()),
            code: error.map_or("", Error::word),
            refusal: error.map_or("", |error| error.code().word()),
            delivery: "",
            cause: error.and_then(Error::reason).unwrap_or_default(),
            walk: None,
            result: Some(answer.outcome),
        }
    }

    /// Returns the outcome of a request whose caller disconnected, or that the shutdown of the gateway ended.
    pub(crate) fn client_gone(took: Duration) -> RequestOutcome<'a> {
        RequestOutcome {
            took,
            canonical: 499,
            code: "CLIENT_GONE",
            refusal: "CLIENT_GONE",
            cause: "the client disconnected, or the gateway had to stop",
            ..RequestOutcome::default()
        }
    }
}
