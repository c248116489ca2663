//! The connections to a database.

/// Connections to a database, by what they are there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreConnections {
    /// Those over which something is asked.
    pub lent: usize,
    /// Those that are open for the next who asks.
    pub idle: usize,
    /// Those that may still be opened.
    pub not_open: usize,
}
