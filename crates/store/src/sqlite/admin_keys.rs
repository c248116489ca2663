//! Keys of operators that come and go.

use std::sync::Arc;

use rusqlite::Transaction;

use super::connection::WriteConnection;
use super::snapshot::read_admin_keys;
use super::store::SqliteStore;
use crate::{AdminKey, StoreError};

impl SqliteStore {
    pub(crate) async fn put_admin_key(&self, key: &AdminKey) -> Result<(), StoreError> {
        let (key, hash) = (key.clone(), key.keyed_hash()?.to_owned());
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

    pub(crate) async fn delete_admin_key(&self, name: &str) -> Result<bool, StoreError> {
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
        let (change, memory) = (self.changing().await?, Arc::clone(self.memory()));
        let write = move |connection: &mut WriteConnection| {
            let (written, keys) = connection.within(|transaction| {
                Ok::<_, StoreError>((write(transaction)?, read_admin_keys(transaction)?))
            })?;
            memory.admin_keys.store(Arc::new(keys));
            drop(change);
            Ok(written)
        };
        self.writer().run(write).await
    }
}
