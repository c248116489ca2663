//! How a request ended.

use std::time::Duration;

use adapter::{Answer, Error, Response as Success};

/// The end of a request, as log, metrics and journal show it.
#[derive(Default)]
pub(crate) struct RequestOutcome<'a> {
    /// From the head of the request to its answer; the same in the log, the metrics and the journal.
    pub(crate) took: Duration,
    /// The status on the wire; 0 if nothing was answered.
    pub(crate) wire_status: u16,
    pub(crate) canonical: u16,
    /// The word of the error; empty if there is none. It may be the upstream's own.
    pub(crate) code: &'a str,
    /// The same as one of the closed codes.
    pub(crate) refusal: &'static str,
    /// The delivery word of a send; else empty.
    pub(crate) delivery: &'static str,
    pub(crate) cause: &'a str,
    /// How the caller's address was found, if the request is refused and a forwarded header was read.
    pub(crate) walk: Option<String>,
    /// `None` if nobody was answered.
    pub(crate) result: Option<Result<&'a Success, &'a Error>>,
}

impl<'a> RequestOutcome<'a> {
    /// The outcome that an answer with this status shows; `delivery` is the word of a send.
    pub(crate) fn of(answer: &Answer<'a>, wire_status: u16, took: Duration) -> RequestOutcome<'a> {
        let error = answer.outcome.err();
        RequestOutcome {
            took,
            wire_status,
            canonical: error.map_or(200, |error| error.code().status()),
            code: error.map_or("", Error::word),
            refusal: error.map_or("", |error| error.code().word()),
            delivery: "",
            cause: error.and_then(Error::cause).unwrap_or_default(),
            walk: None,
            result: Some(answer.outcome),
        }
    }

    /// The outcome when the caller hung up, or the gateway had to stop.
    pub(crate) fn client_gone(took: Duration) -> RequestOutcome<'a> {
        RequestOutcome {
            took,
            canonical: 499,
            code: "CLIENT_GONE",
            refusal: "CLIENT_GONE",
            cause: "the client went away, or the gateway had to end",
            ..RequestOutcome::default()
        }
    }
}
