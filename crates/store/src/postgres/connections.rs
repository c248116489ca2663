//! The connections of one store, as operators see them.

use super::store::PostgresStore;
use crate::StoreConnections;

impl PostgresStore {
    /// Those for look-ups and changes.
    pub(crate) fn connections(&self) -> StoreConnections {
        self.pool().connections()
    }
}
