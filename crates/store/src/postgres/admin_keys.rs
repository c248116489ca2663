//! Reads and changes the keys of operators.

use std::sync::Arc;

use tokio_postgres::types::Type;

use super::epochs::{EpochOf, KnownEpochs};
use super::error::PgError;
use super::session::{PgSession, Value};
use super::snapshot::{ADMIN_KEYS, admin_keys_of, read_admin_keys};
use super::store::PostgresStore;
use crate::{AdminKey, StoreError};

impl PostgresStore {
    /// Changes one key in one transaction, then reads all keys into memory.
    pub(crate) async fn change_admin_key<E: From<StoreError>>(
        &self,
        name: &str,
        change: impl FnOnce(&[AdminKey]) -> Result<Option<AdminKey>, E>,
    ) -> Result<(), E> {
        let begun = self.begin_exclusive(EpochOf::AdminKeys, 1).await;
        let (mut lease, epoch) = begun.map_err(StoreError::from)?;
        let changed = async {
            let session = &mut lease.session;
            let keys = admin_keys_of(&session.query(ADMIN_KEYS, &[]).await?)?;
            let wanted = match change(&keys) {
                Ok(wanted) => wanted,
                Err(refused) => return Ok(Err(refused)),
            };
            write(session, name, wanted.as_ref()).await?;
            Ok::<_, StoreError>(Ok(()))
        };
        match changed.await {
            Ok(Err(refused)) => {
                let undone = self.end(lease, Err::<(), _>(PgError::new("no key changes")));
                let _ = undone.await;
                return Err(refused);
            }
            changed => self.end(lease, changed.map(drop)).await?,
        }
        if let Err(error) = self.load_admin_keys().await {
            let stored = KnownEpochs {
                admin_keys: epoch,
                ..KnownEpochs::default()
            };
            self.apply_later(stored, &error);
        }
        Ok(())
    }

    /// Brings the keys in memory up to date. Returns their new epoch.
    ///
    /// # Errors
    /// When the keys can't be read. The keys in memory stay as they were.
    pub(super) async fn load_admin_keys(&self) -> Result<i64, StoreError> {
        let mut known = self.admin_keys_epoch().lock().await;
        let (keys, epoch) = read_admin_keys(self.pool()).await?;
        self.memory().admin_keys.store(Arc::new(keys));
        *known = epoch;
        Ok(epoch)
    }
}

/// Inserts or replaces the key with this name, or deletes it if `key` is `None`. Notifies the replicas of the change.
async fn write(
    session: &mut PgSession,
    name: &str,
    key: Option<&AdminKey>,
) -> Result<(), StoreError> {
    match key {
        Some(key) => {
            let put = "INSERT INTO chatgate.admin_keys (name, role, hash, created_at) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (name) DO UPDATE SET role = excluded.role, hash = excluded.hash, created_at = excluded.created_at";
            let values: [Value<'_>; 4] = [
                (&name, Type::TEXT),
                (&key.role.name(), Type::TEXT),
                (&key.keyed_hash()?, Type::TEXT),
                (&key.created, Type::INT8),
            ];
            session.execute(put, &values).await?;
        }
        None => {
            let delete = "DELETE FROM chatgate.admin_keys WHERE name = $1";
            session.execute(delete, &[(&name, Type::TEXT)]).await?;
        }
    }
    let wake = "SELECT pg_notify('chatgate', 'admin_keys')";
    session.query(wake, &[]).await?;
    Ok(())
}
