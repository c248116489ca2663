//! Keys of operators that come and go.

use crate::store::Engine;
use crate::{AdminKey, Store, StoreError};

impl Store {
    /// Puts a key in the place of the one with its name.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn put_admin_key(&self, key: &AdminKey) -> Result<(), StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.put_admin_key(key).await,
        }
    }

    /// Deletes a key and returns whether there was one.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn delete_admin_key(&self, name: &str) -> Result<bool, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.delete_admin_key(name).await,
        }
    }
}
