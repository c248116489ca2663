//! The number of connections of one store, as operators see them.

use super::store::PostgresStore;
use crate::StoreConnections;

impl PostgresStore {
    /// Returns the state of the connections for lookups and changes.
    pub(crate) fn connections(&self) -> StoreConnections {
        self.pool().connections()
    }
}
