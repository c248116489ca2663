//! How much of a limit is left.

/// How much of a limit is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// What there is of it when nobody has called.
    pub most: u64,
    /// What is left now.
    pub left: u64,
    /// The time after which all is back, in seconds; absent for what comes back when a call ends.
    pub window_s: Option<u32>,
}
