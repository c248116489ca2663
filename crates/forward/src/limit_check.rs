//! The result of one limit for one call.

use std::time::Duration;

use adapter::{Code, Error};

use crate::limit_name::LimitName;
use crate::rate_limit::{LimitState, whole_seconds};

/// The result of a limit for a call.
#[derive(Debug)]
pub struct LimitCheck {
    /// The state of the limit after the call; `None` if there is no limit, or if the call could not be counted.
    pub state: Option<LimitState>,
    /// The error, if the limit rejects the call.
    pub result: Result<(), Error>,
}

impl LimitCheck {
    /// The result where there is no limit.
    pub(crate) const UNLIMITED: LimitCheck = LimitCheck {
        state: None,
        result: Ok(()),
    };

    /// Creates the result of a call that is admitted.
    pub(crate) fn admitted(state: LimitState) -> LimitCheck {
        LimitCheck {
            state: Some(state),
            result: Ok(()),
        }
    }

    /// Creates the result of a call that is rejected without being counted.
    pub(crate) fn uncounted(error: Error) -> LimitCheck {
        LimitCheck {
            state: None,
            result: Err(error),
        }
    }

    /// Creates the result of a call that cannot be counted before the next sweep.
    pub(crate) fn too_many(cause: &'static str) -> LimitCheck {
        let error = Error::refused(Code::Overloaded).because(cause);
        LimitCheck::uncounted(error.retry_after(10))
    }

    /// Creates the result of a call that has to wait for this time.
    pub(crate) fn rate_limited(per_minute: u32, wait: Duration, limit: LimitName) -> LimitCheck {
        let reset_s = whole_seconds(wait);
        let error = Error::refused(Code::RateLimited).because(limit.text);
        LimitCheck {
            state: Some(LimitState {
                name: limit.word,
                per_minute,
                remaining: 0,
                reset_s,
            }),
            result: Err(error.retry_after(reset_s)),
        }
    }

    /// Combines the result of an access's limit, which admits a call, with that of the limit for its destination. Shows the state of
    /// the limit that rejects the call, or else of the access's limit.
    pub(crate) fn and_destination(self, destination: LimitCheck) -> LimitCheck {
        if destination.result.is_ok() {
            self
        } else {
            destination
        }
    }
}
