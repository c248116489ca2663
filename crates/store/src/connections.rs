//! The connections to a database.

/// The number of connections to a database, by their current use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreConnections {
    /// Connections that currently run a query.
    pub lent: usize,
    /// Open connections that the next query can use.
    pub idle: usize,
    /// Connections that may still be opened.
    pub not_open: usize,
}
