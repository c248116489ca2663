//! The result of one limit for one call.

use std::num::NonZeroU32;
use std::time::Duration;

use adapter::{Code, Error};
use governor::middleware::StateSnapshot;

use crate::limit_name::LimitName;

/// The state of a limit after a call has been counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitState {
    /// The name in headers and the journal: `address`, `minute` or `destination`.
    pub name: &'static str,
    /// Calls per minute, which is also the burst.
    pub per_minute: u32,
    /// Calls that may be made at the same time: in this process, or in all processes that share the limit.
    pub remaining: u32,
    /// Seconds until all calls are available again, or until the next call is, if none remain.
    pub reset_s: u32,
}

impl LimitState {
    /// Returns the state after a call that takes this number of cells.
    pub(crate) fn of(limit: LimitName, cells: NonZeroU32, snapshot: &StateSnapshot) -> LimitState {
        let per_minute = snapshot.quota().burst_size().get();
        let left = snapshot.remaining_burst_capacity();
        let state = LimitState::with_left(limit, per_minute, left);
        LimitState {
            remaining: state.remaining / cells,
            ..state
        }
    }

    /// Returns the state of a limit with this number of remaining calls.
    pub(crate) fn with_left(limit: LimitName, per_minute: u32, remaining: u32) -> LimitState {
        let used = u64::from(per_minute.saturating_sub(remaining));
        let reset_s = u32::try_from((used * 60).div_ceil(u64::from(per_minute))).unwrap_or(60);
        LimitState {
            name: limit.word,
            per_minute,
            remaining,
            reset_s,
        }
    }
}

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

/// Rounds up to whole seconds, at least one, so that a client that waits this long is not rejected again.
pub(crate) fn whole_seconds(wait: Duration) -> u32 {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    u32::try_from(seconds.max(1)).unwrap_or(u32::MAX)
}
