//! The result of one attempt: the caller's outcome, the health of the endpoint, and the safety of a retry.

use std::borrow::Cow;
use std::time::Duration;

use adapter::{Code, Delivery, Effect, Error, Response};
use client::TransportError;
use http::StatusCode;

use super::answer::{UpstreamAnswer, error_of_code, parse};
use crate::limit_check::whole_seconds;

/// The result of one attempt.
pub(super) struct Attempt {
    pub(super) outcome: Result<Response, Error>,
    /// The health of the endpoint that the attempt shows.
    pub(super) health: EndpointHealth,
    /// The safety of another attempt.
    pub(super) retry: RetrySafety,
    /// The pause that the endpoint asks for, if it does.
    pub(super) wait: Option<Duration>,
}

impl Attempt {
    /// Adds the pause that the endpoint asks for. The caller gets it as Retry-After.
    pub(super) fn with_requested_pause(mut self, wait: Option<Duration>) -> Attempt {
        if let Some(wait) = wait {
            let seconds = whole_seconds(wait);
            self.outcome = self.outcome.map_err(|error| error.retry_after(seconds));
            self.wait = Some(wait);
        }
        self
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum EndpointHealth {
    /// A usable answer, whatever it contains.
    Success,
    /// No connection, no answer, or no usable answer.
    Failure,
    /// The attempt ended before the health was known.
    Unknown,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RetrySafety {
    /// No byte has left, so any call may be repeated.
    Safe,
    /// Only a call without effect may be repeated.
    ReadsOnly,
    /// Another attempt would end in the same way.
    Pointless,
}

impl RetrySafety {
    /// Returns whether a call with this effect may be repeated.
    pub(super) fn allows(self, effect: Effect) -> bool {
        match self {
            RetrySafety::Safe => true,
            RetrySafety::ReadsOnly => effect == Effect::Read,
            RetrySafety::Pointless => false,
        }
    }
}

/// Judges a complete answer.
pub(super) fn evaluate(
    body: &[u8],
    status: StatusCode,
    word: impl Fn(Delivery) -> Option<Delivery>,
) -> Attempt {
    let unusable = |cause: Cow<'static, str>| Attempt {
        outcome: Err(unusable(cause, word(Delivery::Unknown))),
        health: EndpointHealth::Failure,
        retry: RetrySafety::ReadsOnly,
        wait: None,
    };
    let usable = |outcome| Attempt {
        outcome,
        health: EndpointHealth::Success,
        retry: RetrySafety::Pointless,
        wait: None,
    };
    match parse(body) {
        Ok(UpstreamAnswer::Success(response)) if status.is_success() => usable(Ok(response)),
        Ok(UpstreamAnswer::Success(_)) => {
            unusable(format!("SUCCESS with status {}", status.as_u16()).into())
        }
        Ok(UpstreamAnswer::Error(code)) => match error_of_code(&code) {
            Some(error) => usable(Err(error.with_delivery(word(Delivery::NotSent)))),
            None => unusable("an error code of an unknown shape".into()),
        },
        Err(_) if !status.is_success() => unusable(format!("status {}", status.as_u16()).into()),
        Err(cause) => unusable(cause.into()),
    }
}

/// The error for an unusable answer.
fn unusable(cause: impl Into<Cow<'static, str>>, delivery: Option<Delivery>) -> Error {
    Error::refused(Code::UpstreamError)
        .because(cause)
        .with_delivery(delivery)
}

/// The result for an answer that is too large. The health of the endpoint is unaffected, and another attempt would end in the same
/// way.
pub(super) fn too_large(
    cause: &'static str,
    word: impl Fn(Delivery) -> Option<Delivery>,
) -> Attempt {
    Attempt {
        outcome: Err(unusable(cause, word(Delivery::Unknown))),
        health: EndpointHealth::Success,
        retry: RetrySafety::Pointless,
        wait: None,
    }
}

/// Value of Retry-After in seconds if too many answers were large. The others are read within seconds.
const NO_ROOM_RETRY_S: u32 = 2;

/// The result for a large answer while too many other large answers were being read for as long as it could wait. A read may be
/// repeated later. The effect of a send is unknown, and consumed messages can't be read again.
pub(super) fn no_room(effect: Effect) -> Attempt {
    let cause = "too many large answers at the same time";
    let error = match effect {
        Effect::Read | Effect::Watch => {
            let overloaded = Error::refused(Code::Overloaded).because(cause);
            overloaded.with_delivery(None).retry_after(NO_ROOM_RETRY_S)
        }
        Effect::Consume => unusable(cause, None),
        Effect::Send => unusable(cause, Some(Delivery::Unknown)),
    };
    Attempt {
        outcome: Err(error),
        health: EndpointHealth::Success,
        retry: RetrySafety::Pointless,
        wait: None,
    }
}

/// The result for an answer that can't be decompressed.
pub(super) fn undecodable(word: impl Fn(Delivery) -> Option<Delivery>) -> Attempt {
    Attempt {
        outcome: Err(unusable(
            "the answer can't be decompressed",
            word(Delivery::Unknown),
        )),
        health: EndpointHealth::Failure,
        retry: RetrySafety::ReadsOnly,
        wait: None,
    }
}

/// Converts a failure of the transport.
pub(super) fn failed(
    error: TransportError,
    had_full_timeout: bool,
    word: impl Fn(Delivery) -> Option<Delivery>,
) -> Attempt {
    let (code, delivery, retry) = if error.unsent {
        (
            Code::UpstreamUnavailable,
            Delivery::NotSent,
            RetrySafety::Safe,
        )
    } else if error.timed_out {
        // A slow upstream is not helped by a second request.
        (
            Code::UpstreamTimeout,
            Delivery::Unknown,
            RetrySafety::Pointless,
        )
    } else {
        (
            Code::UpstreamError,
            Delivery::Unknown,
            RetrySafety::ReadsOnly,
        )
    };
    let refusal = Error::refused(code)
        .because(error.cause)
        .with_delivery(word(delivery));
    Attempt {
        outcome: Err(if code == Code::UpstreamUnavailable {
            refusal.retry_after(1)
        } else {
            refusal
        }),
        // If the caller had little time left, a timeout shows nothing about the endpoint.
        health: if error.timed_out && !had_full_timeout {
            EndpointHealth::Unknown
        } else {
            EndpointHealth::Failure
        },
        retry,
        wait: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_distinguishes_a_success_with_an_error_status_from_other_error_statuses() {
        let cause = |body: &[u8], status| {
            let error = evaluate(body, status, Some).outcome.unwrap_err();
            assert_eq!(error.delivery(), Some(Delivery::Unknown));
            error.cause().unwrap().to_owned()
        };
        let status = StatusCode::BAD_GATEWAY;
        let success = cause(b"{\"status\":\"SUCCESS\"}", status);
        assert_eq!(success, "SUCCESS with status 502");
        assert_eq!(cause(b"<html>", status), "status 502");
        let unreadable = cause(b"<html>", StatusCode::OK);
        assert_eq!(unreadable, "the answer is not an envelope of the chat API");
    }

    #[test]
    fn only_a_read_rejected_for_lack_of_room_gets_retry_after() {
        let refusal = |effect| {
            let error = no_room(effect).outcome.unwrap_err();
            (error.code(), error.retry_after_s(), error.delivery())
        };
        let again = (Code::Overloaded, Some(NO_ROOM_RETRY_S), None);
        assert_eq!(refusal(Effect::Read), again);
        let lost = (Code::UpstreamError, None, None);
        assert_eq!(refusal(Effect::Consume), lost);
        let unknown = (Code::UpstreamError, None, Some(Delivery::Unknown));
        assert_eq!(refusal(Effect::Send), unknown);
    }
}
