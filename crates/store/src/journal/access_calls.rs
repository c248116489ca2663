//! How often accesses called lately, for a page of many accesses.

use crate::store::Engine;
use crate::{Store, StoreError};

/// The calls of an access within some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessCalls {
    /// Calls of the rows that were looked at.
    pub calls: u64,
    /// Those of them that ended with a code.
    pub failed: u64,
    /// Whether as many rows were looked at as may be: there may be more.
    pub is_cut: bool,
}

impl Store {
    /// The calls of each of these accesses since a time, in milliseconds since 1970, UTC, by the newest rows of each, so many at most.
    /// It costs those rows and nothing of what is stored beside.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn access_calls(
        &self,
        accesses: &[&str],
        since_ms: i64,
        rows_max: u32,
    ) -> Result<Vec<AccessCalls>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.access_calls(accesses, since_ms, rows_max).await,
            Engine::Postgres(postgres) => postgres.access_calls(accesses, since_ms, rows_max).await,
        }
    }
}
