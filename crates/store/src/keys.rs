//! Key material: made once, kept, never shown.

use sqlx::Row;

use crate::{Store, StoreError};

impl Store {
    /// The newest key for a purpose; made by `make` and kept when there is none.
    ///
    /// # Errors
    /// When the store can't be read or written, or `make` fails.
    pub async fn key(
        &self,
        purpose: &str,
        now: i64,
        make: impl FnOnce() -> Result<Vec<u8>, StoreError>,
    ) -> Result<Vec<u8>, StoreError> {
        if let Some(material) = self.keys(purpose).await?.pop() {
            return Ok(material);
        }
        let material = make()?;
        sqlx::query("INSERT INTO keys (purpose, material, created_at) VALUES (?, ?, ?)")
            .bind(purpose)
            .bind(&material)
            .bind(now)
            .execute(self.writer())
            .await?;
        Ok(material)
    }

    /// All keys for a purpose, oldest first.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn keys(&self, purpose: &str) -> Result<Vec<Vec<u8>>, StoreError> {
        let rows = sqlx::query("SELECT material FROM keys WHERE purpose = ? ORDER BY id")
            .bind(purpose)
            .fetch_all(self.writer())
            .await?;
        rows.iter()
            .map(|row| Ok(row.try_get("material")?))
            .collect()
    }
}
