//! Sessions of the console. All replicas know a session that one of them has opened. Times are by the database's clock, so that
//! replicas agree on when a session ends.

use tokio_postgres::types::Type;

use super::error::PgError;
use super::session::Value;
use super::store::PostgresStore;
use crate::{SharedSession, StoreError};

/// Maximum number of sessions at the same time. Beyond it the least recently used session ends.
const SESSIONS_MAX: i64 = 1000;

impl PostgresStore {
    pub(crate) async fn put_session(
        &self,
        id_hash: &str,
        session: &SharedSession,
    ) -> Result<(), StoreError> {
        let put = "WITH surplus AS (
                DELETE FROM chatgate.sessions WHERE id_hash IN
                    (SELECT id_hash FROM chatgate.sessions ORDER BY used DESC OFFSET $7)
            ) INSERT INTO chatgate.sessions (id_hash, key_name, key_hash, token, began, used) VALUES ($1, $2, $3, $4, $5, $6)";
        let others = SESSIONS_MAX - 1;
        let ahead_s = self.lease().ahead_s();
        let (began, used) = (session.began + ahead_s, session.used + ahead_s);
        let values: [Value<'_>; 7] = [
            (&id_hash, Type::TEXT),
            (&session.key_name, Type::TEXT),
            (&session.key_hash, Type::TEXT),
            (&session.token, Type::TEXT),
            (&began, Type::INT8),
            (&used, Type::INT8),
            (&others, Type::INT8),
        ];
        self.pool().write(put, &values).await?;
        Ok(())
    }

    pub(crate) async fn session(&self, id_hash: &str) -> Result<Option<SharedSession>, StoreError> {
        let session = "SELECT key_name, key_hash, token, began, used FROM chatgate.sessions WHERE id_hash = $1";
        let rows = self.pool().read(session, &[(&id_hash, Type::TEXT)]).await?;
        let ahead_s = self.lease().ahead_s();
        let read = |row: &tokio_postgres::Row| {
            Ok::<_, PgError>(SharedSession {
                key_name: row.try_get("key_name")?,
                key_hash: row.try_get("key_hash")?,
                token: row.try_get("token")?,
                began: row.try_get::<_, i64>("began")? - ahead_s,
                used: row.try_get::<_, i64>("used")? - ahead_s,
            })
        };
        Ok(rows.first().map(read).transpose()?)
    }

    pub(crate) async fn use_session(&self, id_hash: &str, now: i64) -> Result<(), StoreError> {
        let used = "UPDATE chatgate.sessions SET used = $2 WHERE id_hash = $1 AND used < $2";
        let now = now + self.lease().ahead_s();
        let values: [Value<'_>; 2] = [(&id_hash, Type::TEXT), (&now, Type::INT8)];
        self.pool().write(used, &values).await?;
        Ok(())
    }

    pub(crate) async fn drop_session(&self, id_hash: &str) -> Result<(), StoreError> {
        let drop = "DELETE FROM chatgate.sessions WHERE id_hash = $1";
        self.pool().write(drop, &[(&id_hash, Type::TEXT)]).await?;
        Ok(())
    }

    pub(crate) async fn drop_sessions_of(&self, key_name: &str) -> Result<(), StoreError> {
        let drop = "DELETE FROM chatgate.sessions WHERE key_name = $1";
        self.pool().write(drop, &[(&key_name, Type::TEXT)]).await?;
        Ok(())
    }

    pub(crate) async fn clear_sessions(
        &self,
        (used_before, began_before): (i64, i64),
    ) -> Result<(), StoreError> {
        let old = "DELETE FROM chatgate.sessions WHERE used < $1 OR began < $2";
        let ahead_s = self.lease().ahead_s();
        let (used, began) = (used_before + ahead_s, began_before + ahead_s);
        let values: [Value<'_>; 2] = [(&used, Type::INT8), (&began, Type::INT8)];
        self.pool().write(old, &values).await?;
        Ok(())
    }
}
