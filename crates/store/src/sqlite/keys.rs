//! Key material in SQLite.

use super::store::SqliteStore;
use crate::{StoreError, StoredKey};

impl SqliteStore {
    pub(crate) async fn keys(&self, purpose_start: &str) -> Result<Vec<StoredKey>, StoreError> {
        let purpose_start = purpose_start.to_owned();
        self.read(move |connection| {
            let mut keys = connection.prepare_cached(
                "SELECT id, purpose, material, created_at FROM keys
                 WHERE substr(purpose, 1, length(?1)) = ?1 ORDER BY id",
            )?;
            let keys = keys.query_map([purpose_start], |row| {
                Ok(StoredKey {
                    id: row.get("id")?,
                    purpose: row.get("purpose")?,
                    material: Ok(row.get("material")?),
                    created_at: row.get("created_at")?,
                    signs_from: Some(row.get("created_at")?),
                })
            })?;
            Ok(keys.collect::<Result<_, _>>()?)
        })
        .await
    }

    pub(crate) async fn add_key(
        &self,
        purpose: &str,
        material: &[u8],
        now: i64,
    ) -> Result<i64, StoreError> {
        let (purpose, material) = (purpose.to_owned(), material.to_vec());
        self.write(move |transaction| {
            transaction.execute(
                "INSERT INTO keys (purpose, material, created_at) VALUES (?, ?, ?)",
                (purpose, material, now),
            )?;
            Ok(transaction.last_insert_rowid())
        })
        .await
    }

    pub(crate) async fn drop_key(&self, id: i64) -> Result<(), StoreError> {
        self.write(move |transaction| {
            transaction.execute("DELETE FROM keys WHERE id = ?", [id])?;
            Ok(())
        })
        .await
    }
}
