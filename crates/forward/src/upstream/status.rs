//! The state of the upstream, for operators.

/// The state of the upstream, as operators see it.
#[derive(Clone, Debug)]
pub struct UpstreamStatus {
    /// Each endpoint, and whether its breaker is open.
    pub endpoints: Vec<(String, bool)>,
    /// True if the account in use is the one that was to replace the first.
    pub uses_next_account: bool,
    /// The current maximum number of concurrent calls.
    pub limit: usize,
    /// Calls in progress.
    pub under_way: usize,
    /// Calls that wait for a permit.
    pub waiting: usize,
}
