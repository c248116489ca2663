//! Clearing by age and by room.

use std::time::Duration;

use crate::store::Engine;
use crate::{Store, StoreError};

/// How long rows are kept, and how much room they may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How long a row is kept.
    pub rows: Duration,
    /// How long its parameters and its answer are kept.
    pub payloads: Duration,
    /// Most that the store's file may hold besides receipts, in bytes.
    pub bytes: u64,
}

impl Store {
    /// Takes away what is too old; a row records it. [`Store::scrub`] overwrites what is left of it in the file. `now_ms` in
    /// milliseconds since 1970, UTC.
    ///
    /// # Errors
    /// When the store can't be written. What has been taken away is recorded all the same.
    pub async fn clear_old(&self, now_ms: i64, retention: &Retention) -> Result<(), StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.clear_old(now_ms, retention).await,
            Engine::Postgres(postgres) => postgres.clear_old(now_ms, retention).await,
        }
    }

    /// Takes rows away when there are too many: those of unknown callers beyond their share of the room, and when all
    /// together take too much, the oldest, sends and changes last. A row records it, and a line in the log if any of them
    /// was younger than its retention. `now_ms` in milliseconds since 1970, UTC.
    ///
    /// # Errors
    /// When the store can't be written. What has been taken away is recorded all the same.
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
