//! Counting calls without holding anybody up: a piece of the journal at a time, from where the last piece ended.

use crate::store::Engine;
use crate::{Store, StoreError};

/// Calls so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests that were answered.
    pub calls: u64,
    /// Those of them that ended with a status of 500 or more.
    pub failed: u64,
    /// The number of the last row that was looked at.
    pub(crate) last: i64,
}

impl Store {
    /// Goes on counting requests between two times, in milliseconds since 1970, UTC, over at most so many rows. Returns
    /// whether there are no more.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn tally(
        &self,
        between: (i64, i64),
        so_far: Tally,
        count_max: u32,
    ) -> Result<(Tally, bool), StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.tally(between, so_far, count_max).await,
            Engine::Postgres(postgres) => postgres.tally(between, so_far, count_max).await,
        }
    }
}
