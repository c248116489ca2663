//! Sessions of the console, where several replicas serve it. One process over a file keeps them in memory.

use crate::postgres::PostgresStore;
use crate::store::Engine;
use crate::{Store, StoreError};

/// A session that every replica knows.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedSession {
    /// The name of the key that opened it.
    pub key_name: String,
    /// The hash of that key.
    pub key_hash: String,
    /// The token that every form has to carry.
    pub token: String,
    /// When it began; seconds since 1970, UTC.
    pub began: i64,
    /// When it was used last; seconds since 1970, UTC.
    pub used: i64,
}

/// The sessions of all replicas, by the keyed hashes of their ids.
#[derive(Clone, Copy)]
pub struct SharedSessions<'s>(&'s PostgresStore);

impl Store {
    /// The sessions of all replicas; nothing where one process has the store for itself.
    #[must_use]
    pub fn shared_sessions(&self) -> Option<SharedSessions<'_>> {
        match self.engine() {
            Engine::Sqlite(_) => None,
            Engine::Postgres(postgres) => Some(SharedSessions(postgres)),
        }
    }
}

impl SharedSessions<'_> {
    /// Keeps a new session. Beyond a thousand the one that was used longest ago ends.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn put(self, id_hash: &str, session: &SharedSession) -> Result<(), StoreError> {
        self.0.put_session(id_hash, session).await
    }

    /// The session with this id, if there is one.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn find(self, id_hash: &str) -> Result<Option<SharedSession>, StoreError> {
        self.0.session(id_hash).await
    }

    /// Notes that a session was used.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn mark_used(self, id_hash: &str, now: i64) -> Result<(), StoreError> {
        self.0.use_session(id_hash, now).await
    }

    /// Ends a session.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn drop(self, id_hash: &str) -> Result<(), StoreError> {
        self.0.drop_session(id_hash).await
    }

    /// Ends every session of the key with this name.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn drop_all_of(self, key_name: &str) -> Result<(), StoreError> {
        self.0.drop_sessions_of(key_name).await
    }

    /// Ends those that were used last before one time, or began before another; seconds since 1970, UTC.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn clear(self, used_and_began_before: (i64, i64)) -> Result<(), StoreError> {
        self.0.clear_sessions(used_and_began_before).await
    }
}
