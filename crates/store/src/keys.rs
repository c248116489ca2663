//! Key material: made once, kept, never shown.

use crate::store::Engine;
use crate::{Store, StoreError};

/// A key as it is kept. It has no Debug: the material stands in no log.
pub struct StoredKey {
    /// Its number; a later key has a higher one.
    pub id: i64,
    /// What it is for.
    pub purpose: String,
    /// The key itself.
    pub material: Vec<u8>,
    /// When it was made, in seconds since 1970, UTC.
    pub created_at: i64,
    /// From when on it signs, in seconds since 1970, UTC; nothing while a live replica may not know it.
    pub signs_from: Option<i64>,
}

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
        if let Engine::Postgres(postgres) = self.engine() {
            return postgres.key(purpose, now, make).await;
        }
        let mut keys = self.keys(purpose).await?;
        keys.retain(|key| key.purpose == purpose);
        if let Some(key) = keys.pop() {
            return Ok(key.material);
        }
        let material = make()?;
        self.add_key(purpose, &material, now).await?;
        Ok(material)
    }

    /// All keys whose purpose begins so, oldest first.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn keys(&self, purpose_start: &str) -> Result<Vec<StoredKey>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.keys(purpose_start).await,
            Engine::Postgres(postgres) => postgres.keys(purpose_start).await,
        }
    }

    /// Keeps a further key and returns its number. It is on the disk when this returns.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn add_key(
        &self,
        purpose: &str,
        material: &[u8],
        now: i64,
    ) -> Result<i64, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.add_key(purpose, material, now).await,
            Engine::Postgres(postgres) => postgres.add_key(purpose, material, now).await,
        }
    }

    /// From when on a further key signs that is added now; nothing where other replicas have to know it first.
    #[must_use]
    pub fn signs_from(&self, now: i64) -> Option<i64> {
        match self.engine() {
            Engine::Sqlite(_) => Some(now),
            Engine::Postgres(_) => None,
        }
    }

    /// Has the keys sign that do not yet, if all live replicas verify by them; else waits for a moment, or until another replica
    /// has something new in force.
    ///
    /// # Errors
    /// When the store can't be read or written.
    pub async fn let_keys_sign(&self) -> Result<(), StoreError> {
        match self.engine() {
            Engine::Sqlite(_) => Ok(()),
            Engine::Postgres(postgres) => postgres.let_keys_sign().await,
        }
    }

    /// Keeps a key unless the newest whose purpose begins so is of this purpose already, and returns its number if it was kept:
    /// of several who find that a key is wanting one adds it.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn add_key_once(
        &self,
        purpose_start: &str,
        key: (&str, &[u8]),
        now: i64,
    ) -> Result<Option<i64>, StoreError> {
        match self.engine() {
            // A file has one process, which has looked.
            Engine::Sqlite(sqlite) => sqlite.add_key(key.0, key.1, now).await.map(Some),
            Engine::Postgres(postgres) => postgres.add_key_once(purpose_start, key, now).await,
        }
    }

    /// Deletes a key; one that is not there is gone already.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn drop_key(&self, id: i64) -> Result<(), StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.drop_key(id).await,
            Engine::Postgres(postgres) => postgres.drop_key(id).await,
        }
    }
}
