//! Keys of operators that come and go.

use std::sync::Arc;

use rusqlite::Transaction;

use crate::admin_key::read_admin_keys;
use crate::sqlite::WriteConnection;
use crate::{AdminKey, Store, StoreError, StoredSecret};

impl Store {
    /// Puts a key in the place of the one with its name.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn put_admin_key(&self, key: &AdminKey) -> Result<(), StoreError> {
        let key = key.clone();
        let StoredSecret::Keyed(hash) = key.hash else {
            return Err(StoreError::new("an admin key is a random secret"));
        };
        self.change_admin_keys(move |transaction| {
            transaction.execute(
                "INSERT INTO admin_keys (name, role, hash, created_at) VALUES (?, ?, ?, ?)
                 ON CONFLICT (name) DO UPDATE SET role = excluded.role, hash = excluded.hash,
                 created_at = excluded.created_at",
                (key.name, key.role.name(), hash, key.created),
            )?;
            Ok(())
        })
        .await
    }

    /// Deletes a key and returns whether there was one.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn delete_admin_key(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.change_admin_keys(move |transaction| {
            let deleted = transaction.execute("DELETE FROM admin_keys WHERE name = ?", [name])?;
            Ok(deleted > 0)
        })
        .await
    }

    /// Writes in one transaction, and has the keys in force that it leaves.
    async fn change_admin_keys<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (change, snapshots) = (self.changing().await?, Arc::clone(self.snapshots()));
        let write = move |connection: &mut WriteConnection| {
            let (written, keys) = connection.within(|transaction| {
                Ok::<_, StoreError>((write(transaction)?, read_admin_keys(transaction)?))
            })?;
            snapshots.admin_keys.store(Arc::new(keys));
            drop(change);
            Ok(written)
        };
        self.writer().run(write).await
    }
}
