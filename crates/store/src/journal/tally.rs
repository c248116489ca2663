//! Counts calls without delaying other work: each step counts a piece of the journal, starting at the end of the previous piece.

use crate::store::Engine;
use crate::{Store, StoreError};

/// The number of calls counted so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Number of requests.
    pub calls: u64,
    /// Number of these requests that ended with a status of 500 or more, but not with a code of the upstream: its own rejections are
    /// no failures.
    pub failed: u64,
    /// The number of the last examined row.
    pub(crate) last: i64,
}

impl Store {
    /// Continues the count of requests between two times, in milliseconds since 1970, UTC, with at most `count_max` further rows.
    /// Returns the new tally, and whether the count is complete.
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
