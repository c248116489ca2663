//! Sessions of the console, for stores that several replicas share. A process with a file keeps its sessions in memory.

use crate::postgres::PostgresStore;
use crate::store::Engine;
use crate::{Store, StoreError};

/// A session that all replicas share.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedSession {
    /// The name of the key that opened the session.
    pub key_name: String,
    /// The hash of that key.
    pub key_hash: String,
    /// The token that every form must contain.
    pub token: String,
    /// The start time; seconds since 1970, UTC.
    pub began: i64,
    /// The time of the last use; seconds since 1970, UTC.
    pub used: i64,
}

/// The sessions of all replicas, by the keyed hashes of their ids.
#[derive(Clone, Copy)]
pub struct SharedSessions<'s>(&'s PostgresStore);

impl Store {
    /// Returns the sessions of all replicas; `None` if one process has the store to itself.
    #[must_use]
    pub fn shared_sessions(&self) -> Option<SharedSessions<'_>> {
        match self.engine() {
            Engine::Sqlite(_) => None,
            Engine::Postgres(postgres) => Some(SharedSessions(postgres)),
        }
    }
}

impl SharedSessions<'_> {
    /// Stores a new session. If there are more than a thousand, the session with the oldest last use is removed.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn put(self, id_hash: &str, session: &SharedSession) -> Result<(), StoreError> {
        self.0.put_session(id_hash, session).await
    }

    /// Returns the session with this id hash, if it exists.
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

    /// Ends the sessions whose last use is before the first time, or whose start is before the second; seconds since 1970, UTC.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn clear(self, used_and_began_before: (i64, i64)) -> Result<(), StoreError> {
        self.0.clear_sessions(used_and_began_before).await
    }
}
