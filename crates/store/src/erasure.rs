//! Forgetting a destination.

pub(crate) mod sought;
mod traces;

use std::sync::atomic::Ordering;

use crate::store::Engine;
use crate::{Store, StoreError};
use sought::Sought;

impl Store {
    /// Takes away what is kept of a destination: parameters and answers of calls to it, its events, and every text of the journal,
    /// of receipts and of past changes in which it stands, however it is written there. A receipt goes on to count: nothing is
    /// sent twice. A row records that it was done, by whom, and not of whom. Returns the number of rows that lost something.
    /// Nothing of it is left in the file.
    ///
    /// # Errors
    /// When the store can't be written, or sends are under way for too long that may still write of it: do it again then. When
    /// somebody reads the file for so long that what is left of it there can't be overwritten: that is done as soon as it can be.
    pub async fn erase_destination(
        &self,
        by: (&str, i64),
        destination: &str,
    ) -> Result<u64, StoreError> {
        // What waits to be written may speak of it as well.
        self.journal().flush().await?;
        let erased = match self.engine() {
            Engine::Sqlite(sqlite) => {
                let sought = Sought::new(destination, sqlite.journal_key());
                sqlite.erase(by, sought).await
            }
            Engine::Postgres(postgres) => {
                let sought = Sought::new(destination, &postgres.journal_key);
                postgres.erase(by, &sought).await
            }
        };
        self.memory().erasures.fetch_add(1, Ordering::Release);
        erased
    }

    /// How many destinations this process has erased: what is kept of events in memory is worth nothing after each.
    #[must_use]
    pub fn erasures(&self) -> u64 {
        self.memory().erasures.load(Ordering::Acquire)
    }

    /// Overwrites what deleted rows have left in the file and in its log, as far as that is still to do.
    ///
    /// # Errors
    /// When the file can't be written, or somebody reads it for too long. What is left to do is done by the next call.
    pub async fn scrub(&self) -> Result<(), StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.scrub().await,
            Engine::Postgres(postgres) => postgres.scrub().await,
        }
    }
}
