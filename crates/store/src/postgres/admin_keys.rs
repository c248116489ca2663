//! Keys of operators.

use std::sync::Arc;

use tokio_postgres::types::Type;

use super::error::PgError;
use super::session::Value;
use super::snapshot::read_admin_keys;
use super::store::{EpochOf, PostgresStore};
use crate::{AdminKey, StoreError};

impl PostgresStore {
    pub(crate) async fn put_admin_key(&self, key: &AdminKey) -> Result<(), StoreError> {
        let put = "INSERT INTO chatgate.admin_keys (name, role, hash, created_at) VALUES ($1, $2, $3, $4)
             ON CONFLICT (name) DO UPDATE SET role = excluded.role, hash = excluded.hash, created_at = excluded.created_at";
        let values: [Value<'_>; 4] = [
            (&key.name, Type::TEXT),
            (&key.role.name(), Type::TEXT),
            (&key.keyed_hash()?, Type::TEXT),
            (&key.created, Type::INT8),
        ];
        self.change_admin_keys(put, &values).await.map(drop)
    }

    /// Puts a key in its place if there is no key of any name yet, and returns whether there was none.
    pub(crate) async fn put_first_admin_key(&self, key: &AdminKey) -> Result<bool, StoreError> {
        let put =
            "INSERT INTO chatgate.admin_keys (name, role, hash, created_at) SELECT $1, $2, $3, $4
             WHERE NOT EXISTS (SELECT FROM chatgate.admin_keys)";
        let values: [Value<'_>; 4] = [
            (&key.name, Type::TEXT),
            (&key.role.name(), Type::TEXT),
            (&key.keyed_hash()?, Type::TEXT),
            (&key.created, Type::INT8),
        ];
        Ok(self.change_admin_keys(put, &values).await? > 0)
    }

    pub(crate) async fn delete_admin_key(&self, name: &str) -> Result<bool, StoreError> {
        let delete = "DELETE FROM chatgate.admin_keys WHERE name = $1";
        let deleted = self
            .change_admin_keys(delete, &[(&name, Type::TEXT)])
            .await?;
        Ok(deleted > 0)
    }

    /// Changes them by one statement, and has those in force that it leaves.
    async fn change_admin_keys(&self, sql: &str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        let (mut lease, _) = self.change_in_turn(EpochOf::AdminKeys, 1).await?;
        let changed = async {
            let changed = lease.session.execute(sql, values).await?;
            let wake = "SELECT pg_notify('chatgate', 'admin_keys')";
            lease.session.query(wake, &[]).await?;
            Ok::<_, PgError>(changed)
        };
        let changed = changed.await;
        let changed = self.end(lease, changed).await?;
        self.load_admin_keys().await?;
        Ok(changed)
    }

    /// Brings the keys in memory up to date, and returns the epoch that they are of then.
    ///
    /// # Errors
    /// When they can't be read. Those in memory are what they were then.
    pub(super) async fn load_admin_keys(&self) -> Result<i64, StoreError> {
        let mut known = self.admin_keys_epoch().lock().await;
        let (keys, epoch) = read_admin_keys(self.pool()).await?;
        self.memory().admin_keys.store(Arc::new(keys));
        *known = epoch;
        Ok(epoch)
    }
}
