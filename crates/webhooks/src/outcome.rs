//! The outcome of an attempt, as far as it matters to the schedule.

use std::time::Duration;

/// The outcome of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A status of 200 to 299.
    Delivered,
    /// Status 410.
    Gone,
    /// Any other outcome.
    Failed(Failure),
}

/// A failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The cause of the failure.
    pub(crate) of: FailureScope,
    /// The pause that the receiver requests.
    pub(crate) retry_after: Option<Duration>,
}

/// The cause of a failure, as far as one attempt shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureScope {
    /// The event, if other events get through.
    Event,
    /// The receiver, because it could not be reached.
    Receiver,
    /// The receiver requests a pause: 429, 502, 503 or 504.
    Overload,
}
