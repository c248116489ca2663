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
            Engine::Postgres(postgres) => postgres.put_admin_key(key).await,
        }
    }

    /// Puts a key in its place if there is no key of any name yet, and returns whether there was none: of several who make the
    /// first one, one has made it.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn put_first_admin_key(&self, key: &AdminKey) -> Result<bool, StoreError> {
        match self.engine() {
            // A file has one process.
            Engine::Sqlite(_) if !self.admin_keys().is_empty() => Ok(false),
            Engine::Sqlite(sqlite) => sqlite.put_admin_key(key).await.map(|()| true),
            Engine::Postgres(postgres) => postgres.put_first_admin_key(key).await,
        }
    }

    /// Deletes a key and returns whether there was one.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn delete_admin_key(&self, name: &str) -> Result<bool, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.delete_admin_key(name).await,
            Engine::Postgres(postgres) => postgres.delete_admin_key(name).await,
        }
    }
}
