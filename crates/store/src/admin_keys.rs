//! Changes of operators' keys.

use crate::store::Engine;
use crate::{AdminKey, Store, StoreError};

impl Store {
    /// Changes the key with this name: `change` gets all current keys, and returns the new state of this key, or `None` to delete
    /// it. No other caller, in this process or another, changes a key during the call.
    ///
    /// # Errors
    /// The error of `change`, or the reason why the store failed. Nothing has changed in either case.
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

    /// Adds a key, or replaces the key that has the same name.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn put_admin_key(&self, key: &AdminKey) -> Result<(), StoreError> {
        let put = key.clone();
        self.change_admin_key(&key.name, |_| Ok(Some(put))).await
    }

    /// Adds a key if no key exists yet, and returns whether it was added: if several callers add the first key at the same time,
    /// one of them succeeds.
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
