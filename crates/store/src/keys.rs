//! Key material: created once, stored, and never shown.

use crate::store::Engine;
use crate::{Store, StoreError};

/// A stored key. It does not implement Debug, so that the material never gets into a log.
pub struct StoredKey {
    /// The key's number; a later key has a higher number.
    pub id: i64,
    /// The purpose of the key.
    pub purpose: String,
    /// The key itself, or the reason why it can't be opened.
    pub material: Result<Vec<u8>, StoreError>,
    /// The creation time, in seconds since 1970, UTC.
    pub created_at: i64,
    /// The time from which the key signs, in seconds since 1970, UTC; `None` while a live replica may not know the key.
    pub signs_from: Option<i64>,
}

impl Store {
    /// Returns the newest key for a purpose. If no key exists, creates one with `make` and stores it.
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
            return key.material;
        }
        let material = make()?;
        self.add_key(purpose, &material, now).await?;
        Ok(material)
    }

    /// Returns all keys whose purpose begins with this text, oldest first. A key that can't be opened does not affect the others.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn keys(&self, purpose_start: &str) -> Result<Vec<StoredKey>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.keys(purpose_start).await,
            Engine::Postgres(postgres) => postgres.keys(purpose_start).await,
        }
    }

    /// Stores a further key and returns its number. The key is on the disk when this returns.
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

    /// Returns the time from which a key that is added now signs; `None` if other replicas must learn the key first.
    #[must_use]
    pub fn signs_from(&self, now: i64) -> Option<i64> {
        match self.engine() {
            Engine::Sqlite(_) => Some(now),
            Engine::Postgres(_) => None,
        }
    }

    /// Lets further keys sign if all live replicas verify with them. Otherwise waits for a moment, or until another replica has
    /// applied a change.
    ///
    /// # Errors
    /// When the store can't be read or written.
    pub async fn activate_keys(&self) -> Result<(), StoreError> {
        match self.engine() {
            Engine::Sqlite(_) => Ok(()),
            Engine::Postgres(postgres) => postgres.activate_keys().await,
        }
    }

    /// Stores a key unless the newest key whose purpose begins with `purpose_start` already has this purpose. Returns the key's
    /// number if it was stored. If several processes find that a key is missing, one of them adds it.
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
            // A file has only one process, which has already checked.
            Engine::Sqlite(sqlite) => sqlite.add_key(key.0, key.1, now).await.map(Some),
            Engine::Postgres(postgres) => postgres.add_key_once(purpose_start, key, now).await,
        }
    }

    /// Deletes a key; succeeds if the key does not exist.
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
