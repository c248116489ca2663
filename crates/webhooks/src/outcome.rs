//! What came of an attempt, as far as the schedule goes by it.

use std::time::Duration;

/// What came of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A status of 200 to 299.
    Delivered,
    /// Status 410.
    Gone,
    /// Anything else.
    Failed(Failure),
}

/// A failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Whose it is.
    pub(crate) of: FailureOf,
    /// The pause that the receiver asks for.
    pub(crate) retry_after: Option<Duration>,
}

/// Whose a failure is, as far as one attempt shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailureOf {
    /// The event's, if others get through.
    Event,
    /// The receiver's: it was not reached.
    Receiver,
    /// The receiver asks for a pause: 429, 502, 503 or 504.
    Overload,
}
