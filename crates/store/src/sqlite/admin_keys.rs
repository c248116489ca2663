//! The keys of operators in SQLite.

use std::sync::Arc;

use rusqlite::Transaction;

use super::connection::WriteConnection;
use super::snapshot::each_admin_key;
use super::store::SqliteStore;
use crate::{AdminKey, StoreError};

impl SqliteStore {
    /// Changes one key in one transaction, and then replaces the keys in memory.
    pub(crate) async fn change_admin_key<E: From<StoreError> + Send + 'static>(
        &self,
        name: &str,
        change: impl FnOnce(&[AdminKey]) -> Result<Option<AdminKey>, E> + Send + 'static,
    ) -> Result<(), E> {
        let (name, memory) = (name.to_owned(), Arc::clone(self.memory()));
        let guard = self.changing().await?;
        let write = move |connection: &mut WriteConnection| {
            let changed = connection.within(|transaction| {
                let keys: Result<Vec<_>, _> = each_admin_key(transaction)?.into_iter().collect();
                let wanted = match change(&keys?) {
                    Ok(wanted) => wanted,
                    Err(refused) => return Ok(Err(refused)),
                };
                write(transaction, &name, wanted.as_ref())?;
                each_admin_key(transaction)?
                    .into_iter()
                    .collect::<Result<_, _>>()
                    .map(Ok)
            })?;
            memory.admin_keys.store(Arc::new(changed?));
            drop(guard);
            Ok(())
        };
        self.writer().run(write).await
    }
}

/// Adds or replaces the key with this name, or deletes it if `key` is `None`.
fn write(
    transaction: &Transaction<'_>,
    name: &str,
    key: Option<&AdminKey>,
) -> Result<(), StoreError> {
    match key {
        Some(key) => transaction.execute(
            "INSERT INTO admin_keys (name, role, hash, created_at) VALUES (?, ?, ?, ?)
             ON CONFLICT (name) DO UPDATE SET role = excluded.role, hash = excluded.hash,
             created_at = excluded.created_at",
            (name, key.role.name(), key.keyed_hash()?, key.created),
        )?,
        None => transaction.execute("DELETE FROM admin_keys WHERE name = ?", [name])?,
    };
    Ok(())
}
