//! How a call to the upstream ended, and what it took.

use std::time::Duration;

use adapter::{Error, Response};

/// How a call ended and what it took.
#[derive(Debug)]
pub(crate) struct UpstreamOutcome {
    pub(crate) result: Result<Response, Error>,
    pub(crate) timing: UpstreamTiming,
}

/// What a call took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTiming {
    /// How often the upstream was asked.
    pub attempts: u32,
    /// How long the call waited for a permit.
    pub queued: Duration,
    /// From the first attempt to the end of the last.
    pub upstream: Duration,
}
