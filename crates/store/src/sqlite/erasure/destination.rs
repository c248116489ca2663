//! Erases a destination. The search for rows runs concurrently with other work, and the rows are erased a few at a time, so that no
//! send waits for more than a few milliseconds. Afterwards the remains that SQLite leaves in the file are overwritten.

use std::sync::Arc;

use super::scrubbing::scrub_all;
use super::tables::{erase, find_some};
use crate::erasure::sought::{Sought, SoughtTable, TABLES};
use crate::sqlite::journal::note_event;
use crate::sqlite::store::SqliteStore;
use crate::{JournalKind, StoreError};

/// Number of rows changed in one transaction: with the longest answers 16 MiB, which a disk writes in a moment.
const ERASED_AT_ONCE: usize = 64;

impl SqliteStore {
    /// Erases a destination from all rows that contain it.
    pub(crate) async fn erase(
        &self,
        (actor, now_ms): (&str, i64),
        sought: Sought,
    ) -> Result<u64, StoreError> {
        let sought = Arc::new(sought);
        let mut erased = 0;
        for table in &TABLES {
            let ids = self.rows_with(table, &sought).await?;
            for ids in ids.chunks(ERASED_AT_ONCE) {
                erased += self.erase_rows(table, &sought, ids).await?;
            }
        }
        let actor = actor.to_owned();
        let record = self.write(move |transaction| {
            let cause = format!("{erased} rows with one destination");
            let event = (JournalKind::Erasure, actor.as_str(), cause.as_str());
            note_event(transaction, now_ms, event)?;
            scrub_all(transaction)
        });
        record.await?;
        self.scrub().await?;
        Ok(erased)
    }

    /// Returns the rows of a table that contain the destination.
    async fn rows_with(
        &self,
        table: &'static SoughtTable,
        sought: &Arc<Sought>,
    ) -> Result<Vec<i64>, StoreError> {
        let (mut found, mut beyond) = (Vec::new(), Some(i64::MIN));
        while let Some(last) = beyond {
            let sought = Arc::clone(sought);
            let some = self.read(move |connection| find_some(table, connection, &sought, last));
            let (some, last) = some.await?;
            found.extend(some);
            beyond = last;
        }
        Ok(found)
    }

    /// Erases the destination from these rows.
    async fn erase_rows(
        &self,
        table: &'static SoughtTable,
        sought: &Arc<Sought>,
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
