//! Keys of operators that come and go.

use crate::store::Engine;
use crate::{AdminKey, Store, StoreError};

impl Store {
    /// Changes the key with this name: `change` gets all keys as they are, and returns it as it shall be, or nothing to delete
    /// it. Nobody else changes a key in between, at this process or another one.
    ///
    /// # Errors
    /// What `change` says, or why the store could not do it. Nothing has changed then.
    pub async fn change_admin_key<E: From<StoreError> + Send + 'static>(
        &self,
        name: &str,
        change: impl FnOnce(&[AdminKey]) -> Result<Option<AdminKey>, E> + Send + 'static,
    ) -> Result<(), E> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.change_admin_key(name, change).await,
            Engine::Postgres(postgres) => postgres.change_admin_key(name, change).await,
        }
    }

    /// Puts a key in the place of the one with its name.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn put_admin_key(&self, key: &AdminKey) -> Result<(), StoreError> {
        let put = key.clone();
        self.change_admin_key(&key.name, |_| Ok(Some(put))).await
    }

    /// Puts a key in its place if there is no key of any name yet, and returns whether there was none: of several who make the
    /// first one, one has made it.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn put_first_admin_key(&self, key: &AdminKey) -> Result<bool, StoreError> {
        let first = key.clone();
        let put = self.change_admin_key(&key.name, |keys| match keys {
            [] => Ok(Some(first)),
            _ => Err(None),
        });
        match put.await {
            Ok(()) => Ok(true),
            Err(None) => Ok(false),
            Err(Some(error)) => Err(error),
        }
    }
}
