//! The remaining calls of a limit.

/// The remaining calls of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// The maximum, which is available when nobody has called.
    pub most: u64,
    /// The number that remains now.
    pub remaining: u64,
    /// The time after which all calls are available again, in seconds; `None` for calls that become available when another call
    /// ends.
    pub window_s: Option<u32>,
}
