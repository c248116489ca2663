//! How one attempt ended: what the caller is told, what it says of the endpoint, and whether another one could do retry.

use std::borrow::Cow;
use std::time::Duration;

use adapter::{Code, Delivery, Effect, Error, Response};
use client::TransportError;
use http::StatusCode;

use super::answer::{UpstreamAnswer, error_of_code, parse};
use crate::rate_limit::whole_seconds;

/// How one attempt ended.
pub(super) struct Attempt {
    pub(super) outcome: Result<Response, Error>,
    /// What it says of the endpoint.
    pub(super) health: EndpointHealth,
    /// Whether another attempt could do any harm.
    pub(super) retry: RetrySafety,
    /// For how long the endpoint asks to be left alone, if it does.
    pub(super) wait: Option<Duration>,
}

impl Attempt {
    /// The endpoint asks to be left alone for so long, which the caller hears as well.
    pub(super) fn asked_to_wait(mut self, wait: Option<Duration>) -> Attempt {
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
    /// An answer that can be used, whatever it says.
    Success,
    /// No connection, no answer, or none that can be used.
    Failure,
    /// It was ended before it could tell.
    Unknown,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RetrySafety {
    /// No byte has left: none, whatever the call.
    Safe,
    /// Only a call without effect may be made again.
    ReadsOnly,
    /// Another attempt would end as this one did.
    Pointless,
}

impl RetrySafety {
    /// Whether a call of this effect may be made again.
    pub(super) fn allows(self, effect: Effect) -> bool {
        match self {
            RetrySafety::Safe => true,
            RetrySafety::ReadsOnly => effect == Effect::Read,
            RetrySafety::Pointless => false,
        }
    }
}

/// What a whole answer means.
pub(super) fn judged(
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
    let well = |outcome| Attempt {
        outcome,
        health: EndpointHealth::Success,
        retry: RetrySafety::Pointless,
        wait: None,
    };
    match parse(body) {
        Ok(UpstreamAnswer::Success(response)) if status.is_success() => well(Ok(response)),
        Ok(UpstreamAnswer::Error(code)) => match error_of_code(&code) {
            Some(error) => well(Err(error.with_delivery(word(Delivery::NotSent)))),
            None => unusable("an error code of an unknown shape".into()),
        },
        _ if !status.is_success() => unusable(format!("status {}", status.as_u16()).into()),
        Ok(UpstreamAnswer::Success(_)) => unusable("success with an HTTP error".into()),
        Err(cause) => unusable(cause.into()),
    }
}

/// An answer that nothing can be made of.
fn unusable(cause: impl Into<Cow<'static, str>>, delivery: Option<Delivery>) -> Error {
    Error::refused(Code::UpstreamError)
        .because(cause)
        .with_delivery(delivery)
}

/// An answer that there is no room for: the endpoint is as well as it was, and another attempt would end the same way.
pub(super) fn too_much(
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

/// When to come again after an answer that was large among others: those are read within seconds.
const NO_ROOM_RETRY_S: u32 = 2;

/// An answer that is large, as too many others were for as long as it could wait. A read is to come again; what became of a send
/// nobody knows, and what a call has consumed does not come again.
pub(super) fn no_room(effect: Effect) -> Attempt {
    let cause = "too many answers are large";
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

/// An answer that can't be unpacked.
pub(super) fn packed(word: impl Fn(Delivery) -> Option<Delivery>) -> Attempt {
    Attempt {
        outcome: Err(unusable(
            "the answer can't be unpacked",
            word(Delivery::Unknown),
        )),
        health: EndpointHealth::Failure,
        retry: RetrySafety::ReadsOnly,
        wait: None,
    }
}

/// Names a failure of the transport.
pub(super) fn failed(
    error: TransportError,
    had_its_time: bool,
    word: impl Fn(Delivery) -> Option<Delivery>,
) -> Attempt {
    let (code, delivery, retry) = if error.unsent {
        (
            Code::UpstreamUnavailable,
            Delivery::NotSent,
            RetrySafety::Safe,
        )
    } else if error.timed_out {
        // Who is slow is not helped by being asked twice.
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
        // A caller with little time left says nothing of the endpoint.
        health: if error.timed_out && !had_its_time {
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
    fn only_a_read_without_room_is_to_come_again() {
        let heard = |effect| {
            let error = no_room(effect).outcome.unwrap_err();
            (error.code(), error.retry_after_s(), error.delivery())
        };
        let again = (Code::Overloaded, Some(NO_ROOM_RETRY_S), None);
        assert_eq!(heard(Effect::Read), again);
        let lost = (Code::UpstreamError, None, None);
        assert_eq!(heard(Effect::Consume), lost);
        let unknown = (Code::UpstreamError, None, Some(Delivery::Unknown));
        assert_eq!(heard(Effect::Send), unknown);
    }
}
