//! The state of the upstream, for operators.

/// How the upstream is, as operators see it.
#[derive(Clone, Debug)]
pub struct UpstreamStatus {
    /// Each endpoint, and whether it is left alone for now.
    pub endpoints: Vec<(String, bool)>,
    /// Whether the account in use is the one that was to replace the first.
    pub uses_next_account: bool,
    /// Most calls at once, as it takes them now.
    pub limit: usize,
    /// Calls under way.
    pub under_way: usize,
    /// Calls that wait for a permit.
    pub waiting: usize,
}
