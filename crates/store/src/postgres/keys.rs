//! Key material, which leaves this process sealed.

use tokio_postgres::types::Type;

use super::error::PgError;
use super::seal::SealContext;
use super::session::Value;
use super::store::{EpochOf, PostgresStore};
use crate::keys::KNOWN_BEFORE_S;
use crate::{StoreError, StoredKey};

impl PostgresStore {
    /// The key for a purpose of which there is one for ever: of those who make one at once all get the same.
    pub(crate) async fn key(
        &self,
        purpose: &str,
        now: i64,
        make: impl FnOnce() -> Result<Vec<u8>, StoreError>,
    ) -> Result<Vec<u8>, StoreError> {
        if let Some(key) = self.newest_key(purpose).await? {
            return Ok(key);
        }
        let sealed = self.sealed(purpose, &make()?)?;
        let add = "INSERT INTO chatgate.keys (purpose, sealed, created_at, signs_from) VALUES ($1, $2, $3, $3)
             ON CONFLICT DO NOTHING";
        let values: [Value<'_>; 3] = [
            (&purpose, Type::TEXT),
            (&sealed, Type::BYTEA),
            (&now, Type::INT8),
        ];
        self.pool().write(add, &values).await?;
        let key = self.newest_key(purpose).await?;
        key.ok_or_else(|| StoreError::new("a key that was kept is gone"))
    }

    async fn newest_key(&self, purpose: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let mut keys = self.keys(purpose).await?;
        keys.retain(|key| key.purpose == purpose);
        Ok(keys.pop().map(|key| key.material))
    }

    pub(crate) async fn keys(&self, purpose_start: &str) -> Result<Vec<StoredKey>, StoreError> {
        let keys = "SELECT id, purpose, sealed, created_at, signs_from FROM chatgate.keys WHERE starts_with(purpose, $1) ORDER BY id";
        let rows = self
            .pool()
            .read(keys, &[(&purpose_start, Type::TEXT)])
            .await?;
        let mut keys = Vec::new();
        for row in &rows {
            let purpose: String = row.try_get("purpose").map_err(PgError::from)?;
            let sealed: &[u8] = row.try_get("sealed").map_err(PgError::from)?;
            keys.push(StoredKey {
                id: row.try_get("id").map_err(PgError::from)?,
                material: self.seal().open(&self.context(&purpose), sealed)?,
                purpose,
                created_at: row.try_get("created_at").map_err(PgError::from)?,
                signs_from: row.try_get("signs_from").map_err(PgError::from)?,
            });
        }
        Ok(keys)
    }

    pub(crate) async fn add_key(
        &self,
        purpose: &str,
        material: &[u8],
        now: i64,
    ) -> Result<i64, StoreError> {
        let sealed = self.sealed(purpose, material)?;
        let add = "INSERT INTO chatgate.keys (purpose, sealed, created_at, signs_from) SELECT $1, $2, $3,
             CASE WHEN EXISTS (SELECT FROM chatgate.keys k WHERE starts_with(k.purpose, split_part($1, '/', 1) || '/'))
             THEN $3 + $4 ELSE $3 END RETURNING id";
        let values: [Value<'_>; 4] = [
            (&purpose, Type::TEXT),
            (&sealed, Type::BYTEA),
            (&now, Type::INT8),
            (&KNOWN_BEFORE_S, Type::INT8),
        ];
        let id = self.change_keys(add, &values).await?;
        id.ok_or_else(|| StoreError::new("a key was not kept"))
    }

    /// Keeps a key unless the newest whose purpose begins so is of this purpose already. Returns its number if it was kept.
    pub(crate) async fn add_key_once(
        &self,
        purpose_start: &str,
        (purpose, material): (&str, &[u8]),
        now: i64,
    ) -> Result<Option<i64>, StoreError> {
        let sealed = self.sealed(purpose, material)?;
        let add = "INSERT INTO chatgate.keys (purpose, sealed, created_at, signs_from) SELECT $1, $2, $3,
             CASE WHEN EXISTS (SELECT FROM chatgate.keys k WHERE starts_with(k.purpose, $4)) THEN $3 + $5 ELSE $3 END
             WHERE $1 IS DISTINCT FROM
                 (SELECT purpose FROM chatgate.keys WHERE starts_with(purpose, $4) ORDER BY id DESC LIMIT 1)
             RETURNING id";
        let values: [Value<'_>; 5] = [
            (&purpose, Type::TEXT),
            (&sealed, Type::BYTEA),
            (&now, Type::INT8),
            (&purpose_start, Type::TEXT),
            (&KNOWN_BEFORE_S, Type::INT8),
        ];
        self.change_keys(add, &values).await
    }

    pub(crate) async fn drop_key(&self, id: i64) -> Result<(), StoreError> {
        let delete = "DELETE FROM chatgate.keys WHERE id = $1 RETURNING id";
        self.change_keys(delete, &[(&id, Type::INT8)])
            .await
            .map(drop)
    }

    /// Changes them by one statement, and returns the number of the key that it changed.
    async fn change_keys(
        &self,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<Option<i64>, StoreError> {
        let (mut lease, epoch) = self.change_in_turn(EpochOf::SigningKeys, 1).await?;
        let changed = async {
            let rows = lease.session.query(sql, values).await?;
            let wake = "SELECT pg_notify('chatgate', 'signing_keys')";
            lease.session.query(wake, &[]).await?;
            let id = rows.first().map(|row| row.try_get("id"));
            Ok::<_, PgError>(id.transpose()?)
        };
        let changed = changed.await;
        let changed = self.end(lease, changed).await?;
        self.note_signing_keys(epoch);
        Ok(changed)
    }

    fn sealed(&self, purpose: &str, material: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.seal().seal(&self.context(purpose), material)
    }

    fn context<'c>(&'c self, purpose: &'c str) -> SealContext<'c> {
        SealContext {
            deployment: self.deployment(),
            purpose,
        }
    }
}
