//! Erases a destination from the store.

mod destination_forms;
pub(crate) mod hashed_chat;
pub(crate) mod target;
pub(crate) mod under_way;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::sleep;

use crate::memory::COUNT_HOLDS;
use crate::store::Engine;
use crate::{Store, StoreError};
use target::{ErasureTarget, SearchedTable, TABLES};

/// The reason why an erasure did not succeed.
#[derive(Debug)]
pub enum ErasureError {
    /// What could be found is erased, but rows about the destination may still be written. One sentence says what to do.
    Incomplete(String),
    /// The store can't currently be read or written.
    Store(StoreError),
}

impl From<StoreError> for ErasureError {
    fn from(error: StoreError) -> ErasureError {
        ErasureError::Store(error)
    }
}

impl fmt::Display for ErasureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErasureError::Incomplete(why) => f.write_str(why),
            ErasureError::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ErasureError {}

impl Store {
    /// Deletes all stored data about a destination: parameters and answers of calls to it, its events, and every mention of it in
    /// texts of the journal, of receipts and of past changes, in whatever notation. Receipts stay valid, so that nothing is sent
    /// twice. Chats stay as keyed hashes, so that their messages do not become events again. A journal row records the erasure and
    /// its actor, but not the destination. Returns the number of rows from which something was deleted. Afterwards the file contains
    /// nothing of the destination but hashes.
    ///
    /// # Errors
    /// When the store can't be written, or when sends or other replicas may still write about the destination: repeat the call later
    /// then. When another process or connection reads the file for so long that the remains can't be overwritten: they are
    /// overwritten as soon as possible.
    pub async fn erase_destination(
        &self,
        by: (&str, i64),
        destination: &str,
    ) -> Result<u64, ErasureError> {
        let erased = self.erase(by, destination).await;
        self.memory().erasures.fetch_add(1, Ordering::Release);
        erased
    }

    /// Erases rows that are written during the erasure as well: sends under way write rows when they end, and other replicas write
    /// their waiting rows.
    async fn erase(&self, by: (&str, i64), destination: &str) -> Result<u64, ErasureError> {
        // Rows in the queue may mention the destination as well.
        self.journal().flush().await?;
        let key = match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.journal_key(),
            Engine::Postgres(postgres) => &postgres.journal_key,
        };
        let sought = Arc::new(ErasureTarget::new(destination, key));
        let mut coming = self.pending_rows(by.1).await?;
        let mut rows = 0;
        let (timed, untimed): (Vec<_>, Vec<_>) = TABLES.iter().partition(|table| table.is_timed);
        for table in &timed {
            rows += self.erase_from((table, i64::MIN), &sought).await?;
        }
        let waited = self.wait_for(&mut coming).await;
        // Rows of these tables that are written during the wait can't be found by their number, so all are searched after it.
        for table in untimed {
            rows += self.erase_from((table, i64::MIN), &sought).await?;
        }
        let before = rows;
        for table in timed {
            rows += self.erase_from((table, coming.beyond()), &sought).await?;
        }
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.end_erasure(by, rows).await?,
            Engine::Postgres(postgres) => {
                postgres.end_erasure(by, rows).await?;
                if rows > before {
                    // Until then other replicas may show these events from memory. Earlier ones were deleted before the wait above.
                    sleep(COUNT_HOLDS).await;
                }
            }
        }
        waited.map(|()| rows)
    }

    /// Erases the destination from the rows of a table beyond this number. Returns the number of rows that contained it.
    async fn erase_from(
        &self,
        from: (&'static SearchedTable, i64),
        sought: &Arc<ErasureTarget>,
    ) -> Result<u64, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.erase_from(from, sought).await,
            Engine::Postgres(postgres) => postgres.erase_from(from, sought).await,
        }
    }

    /// Returns the number of erasures that this process knows of. Copies of events in memory are invalid after each erasure.
    #[must_use]
    pub fn erasures(&self) -> u64 {
        let own = self.memory().erasures.load(Ordering::Acquire);
        own.wrapping_add(self.memory().counted_erasures().0)
    }

    /// Returns whether this process knows of all erasures that have ended. Other processes may erase from a shared store.
    #[must_use]
    pub fn knows_erasures(&self) -> bool {
        !self.shares_events() || self.memory().counted_erasures().1
    }

    /// Overwrites the remains of deleted rows in the file and in its log, as far as this is still to be done.
    ///
    /// # Errors
    /// When the file can't be written, or a reader holds it for too long. The next call continues the work.
    pub async fn scrub(&self) -> Result<(), StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.scrub().await,
            Engine::Postgres(postgres) => postgres.scrub().await,
        }
    }
}
