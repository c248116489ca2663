//! Erases a destination. The search for rows runs concurrently with other work, and the rows are erased a few at a time, so that no
//! send waits for more than a few milliseconds. Afterwards the remains that SQLite leaves in the file are overwritten.

use std::sync::Arc;

use super::scrubbing::scrub_all;
use super::tables::{erase, find_batch};
use crate::erasure::target::{ErasureTarget, SearchedTable};
use crate::sqlite::journal::note_event;
use crate::sqlite::store::SqliteStore;
use crate::{JournalKind, StoreError};

/// Number of rows changed in one transaction: with the longest answers 16 MiB, which a disk writes in a moment.
const ERASED_PER_BATCH: usize = 64;

impl SqliteStore {
    /// Erases the destination from the rows of a table beyond this number. Returns the number of rows that contained it.
    pub(crate) async fn erase_from(
        &self,
        (table, beyond): (&'static SearchedTable, i64),
        sought: &Arc<ErasureTarget>,
    ) -> Result<u64, StoreError> {
        let (mut erased, mut beyond) = (0, Some(beyond));
        while let Some(last) = beyond {
            let of_read = Arc::clone(sought);
            let some = self.read(move |connection| find_batch(table, connection, &of_read, last));
            let (ids, last) = some.await?;
            for ids in ids.chunks(ERASED_PER_BATCH) {
                erased += self.erase_rows(table, sought, ids).await?;
            }
            beyond = last;
        }
        Ok(erased)
    }

    /// Records an erasure of this number of rows, and overwrites the remains of the rows.
    pub(crate) async fn end_erasure(
        &self,
        (actor, now_ms): (&str, i64),
        rows: u64,
    ) -> Result<(), StoreError> {
        let actor = actor.to_owned();
        let record = self.write(move |transaction| {
            let cause = format!("{rows} rows with one destination");
            let event = (JournalKind::Erasure, actor.as_str(), cause.as_str());
            note_event(transaction, now_ms, event)?;
            scrub_all(transaction)
        });
        record.await?;
        self.scrub().await
    }

    /// Returns the numbers of the rows of sends under way.
    pub(crate) async fn sends_under_way(&self) -> Result<Vec<i64>, StoreError> {
        self.read(|connection| {
            let mut sends = connection.prepare_cached("SELECT id FROM journal WHERE open = 1")?;
            let sends = sends.query_map([], |row| row.get("id"))?;
            Ok(sends.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Erases the destination from these rows.
    async fn erase_rows(
        &self,
        table: &'static SearchedTable,
        sought: &Arc<ErasureTarget>,
        ids: &[i64],
    ) -> Result<u64, StoreError> {
        let (sought, ids) = (Arc::clone(sought), ids.to_vec());
        self.write(move |transaction| {
            let mut erased = 0;
            for id in ids {
                erased += u64::from(erase(table, transaction, &sought, id)?);
            }
            Ok(erased)
        })
        .await
    }
}
