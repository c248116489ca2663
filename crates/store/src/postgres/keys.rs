//! Stores key material, which leaves this process only sealed.

use std::time::Duration;

use tokio::time::sleep;
use tokio_postgres::types::Type;

use super::epochs::EpochOf;
use super::error::PgError;
use super::seal::SealContext;
use super::session::Value;
use super::store::PostgresStore;
use crate::{StoreError, StoredKey};

/// The time stored as `signs_from` while a live replica may not know the key yet.
const NOT_YET: i64 = i64::MAX;

/// Pause between two checks whether all live replicas know a key. Notified replicas take some milliseconds, and every replica
/// checks.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Finds a live replica that has not reported yet that it verifies by the keys of an epoch.
const IS_AWAITED: &str =
    "SELECT FROM chatgate.replicas r WHERE r.lease_until > now() AND r.signing_keys <";

impl PostgresStore {
    /// Returns the key for a purpose that has a single key forever. Processes that make the key at the same time all get the same
    /// one.
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
        let add = "INSERT INTO chatgate.keys (purpose, sealed, created_at, signs_from) SELECT $1, $2, $3, $3
             WHERE NOT EXISTS (SELECT FROM chatgate.keys WHERE purpose = $1) ON CONFLICT DO NOTHING";
        let values: [Value<'_>; 3] = [
            (&purpose, Type::TEXT),
            (&sealed, Type::BYTEA),
            (&now, Type::INT8),
        ];
        // Runs under the lock of key changes without raising the epoch, so that the second process finds the key of the first.
        let (mut lease, _) = self.begin_exclusive(EpochOf::SigningKeys, 0).await?;
        let added = lease.session.execute(add, &values).await;
        self.end(lease, added).await?;
        let key = self.newest_key(purpose).await?;
        key.ok_or_else(|| StoreError::new("a stored key is missing"))
    }

    async fn newest_key(&self, purpose: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let mut keys = self.keys(purpose).await?;
        keys.retain(|key| key.purpose == purpose);
        keys.pop().map(|key| key.material).transpose()
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
                material: self.seal().open(&self.context(&purpose), sealed),
                purpose,
                created_at: row.try_get("created_at").map_err(PgError::from)?,
                signs_from: Some(row.try_get("signs_from").map_err(PgError::from)?)
                    .filter(|from| *from != NOT_YET),
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
             THEN $4 ELSE $3 END RETURNING id";
        let values: [Value<'_>; 4] = [
            (&purpose, Type::TEXT),
            (&sealed, Type::BYTEA),
            (&now, Type::INT8),
            (&NOT_YET, Type::INT8),
        ];
        let id = self.change_keys(add, &values).await?;
        id.ok_or_else(|| StoreError::new("a key was not stored"))
    }

    /// Stores a key, unless the newest key whose purpose begins with `purpose_start` has this purpose already. Returns the number
    /// of the stored key.
    pub(crate) async fn add_key_once(
        &self,
        purpose_start: &str,
        (purpose, material): (&str, &[u8]),
        now: i64,
    ) -> Result<Option<i64>, StoreError> {
        let sealed = self.sealed(purpose, material)?;
        let add = "INSERT INTO chatgate.keys (purpose, sealed, created_at, signs_from) SELECT $1, $2, $3,
             CASE WHEN EXISTS (SELECT FROM chatgate.keys k WHERE starts_with(k.purpose, $4)) THEN $5 ELSE $3 END
             WHERE $1 IS DISTINCT FROM
                 (SELECT purpose FROM chatgate.keys WHERE starts_with(purpose, $4) ORDER BY id DESC LIMIT 1)
             RETURNING id";
        let values: [Value<'_>; 5] = [
            (&purpose, Type::TEXT),
            (&sealed, Type::BYTEA),
            (&now, Type::INT8),
            (&purpose_start, Type::TEXT),
            (&NOT_YET, Type::INT8),
        ];
        self.change_keys(add, &values).await
    }

    pub(crate) async fn drop_key(&self, id: i64) -> Result<(), StoreError> {
        let delete = "DELETE FROM chatgate.keys WHERE id = $1 RETURNING id";
        self.change_keys(delete, &[(&id, Type::INT8)])
            .await
            .map(drop)
    }

    pub(crate) async fn activate_keys(&self) -> Result<(), StoreError> {
        let awaited = format!(
            "SELECT EXISTS ({IS_AWAITED} e.epoch) AS awaited FROM chatgate.epochs e WHERE e.what = 'signing_keys'"
        );
        let rows = self.pool().read(&awaited, &[]).await?;
        let row = rows.first().map(|row| row.try_get("awaited"));
        if row.transpose().map_err(PgError::from)?.unwrap_or(true) {
            sleep(POLL_INTERVAL).await;
            return Ok(());
        }
        // Checked again under the lock of key changes, which has raised the epoch by one.
        let sign = format!(
            "UPDATE chatgate.keys SET signs_from = extract(epoch FROM now())::bigint WHERE signs_from = $1 AND NOT EXISTS
             ({IS_AWAITED} (SELECT epoch - 1 FROM chatgate.epochs WHERE what = 'signing_keys')) RETURNING id"
        );
        let signs = self.change_keys(&sign, &[(&NOT_YET, Type::INT8)]);
        signs.await.map(drop)
    }

    /// Changes keys by one statement. Returns the number of a changed key; if there is none, the epoch does not change.
    async fn change_keys(
        &self,
        sql: &str,
        values: &[Value<'_>],
    ) -> Result<Option<i64>, StoreError> {
        let (mut lease, epoch) = self.begin_exclusive(EpochOf::SigningKeys, 1).await?;
        let changed = async {
            let rows = lease.session.query(sql, values).await?;
            let wake = "SELECT pg_notify('chatgate', 'signing_keys')";
            lease.session.query(wake, &[]).await?;
            let id = rows.first().map(|row| row.try_get("id"));
            Ok::<_, PgError>(id.transpose()?)
        };
        let changed = match changed.await {
            Ok(None) => {
                let undone = self.end(lease, Err::<(), _>(PgError::new("no key changes")));
                let _ = undone.await;
                return Ok(None);
            }
            changed => changed,
        };
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
