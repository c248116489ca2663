//! The result of a call to the upstream, and its durations.

use std::time::Duration;

use adapter::{Error, Response};

/// The result of a call and its durations.
#[derive(Debug)]
pub(crate) struct UpstreamOutcome {
    pub(crate) result: Result<Response, Error>,
    pub(crate) timing: UpstreamTiming,
}

/// The durations of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTiming {
    /// The number of requests to the upstream.
    pub attempts: u32,
    /// The time that the call waited for a permit.
    pub queued: Duration,
    /// The time from the first attempt to the end of the last.
    pub upstream: Duration,
}
