//! Clears the journal by age and by size.

use std::time::Duration;

use crate::store::Engine;
use crate::{Store, StoreError};

/// Limits for the age and the size of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Maximum age of a row.
    pub rows: Duration,
    /// Maximum age of a row's parameters and answer.
    pub payloads: Duration,
    /// Maximum size in bytes; for a file, the size of the store without receipts and events.
    pub bytes: u64,
}

impl Store {
    /// Deletes rows and payloads that are too old, and records this in a row. [`Store::scrub`] overwrites their remains in the
    /// file. `now_ms` in milliseconds since 1970, UTC.
    ///
    /// # Errors
    /// When the store can't be written. Deletions up to then are recorded nevertheless.
    pub async fn clear_old(&self, now_ms: i64, retention: &Retention) -> Result<(), StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.clear_old(now_ms, retention).await,
            Engine::Postgres(postgres) => postgres.clear_old(now_ms, retention).await,
        }
    }

    /// Deletes rows if the journal is too large: first rows of unknown callers that exceed their share of the room, then, if all
    /// rows together take too much room, the oldest rows, with sends and changes last. The clearing is recorded in a row, and also
    /// logged if a deleted row was younger than its retention. `now_ms` in milliseconds since 1970, UTC.
    ///
    /// # Errors
    /// When the store can't be written. Deletions up to then are recorded nevertheless.
    pub async fn clear_surplus(
        &self,
        now_ms: i64,
        retention: &Retention,
    ) -> Result<(), StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.clear_surplus(now_ms, retention).await,
            Engine::Postgres(postgres) => postgres.clear_surplus(now_ms, retention).await,
        }
    }
}
