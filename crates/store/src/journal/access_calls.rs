//! Counts recent calls of accesses, for a page that shows many accesses.

use crate::store::Engine;
use crate::{Store, StoreError};

/// The number of calls of an access within some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessCalls {
    /// Number of calls in the examined rows.
    pub calls: u64,
    /// Number of these calls that ended with a code.
    pub failed: u64,
    /// True if the limit of examined rows was reached, so that there may be more calls.
    pub is_cut: bool,
}

impl Store {
    /// Counts the calls of each of these accesses since a time, in milliseconds since 1970, UTC, from at most `rows_max` of the
    /// newest rows of each access. The cost depends only on these rows, not on the size of the journal.
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
