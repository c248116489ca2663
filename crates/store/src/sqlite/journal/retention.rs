//! Clears the journal by age, and writes the row that records each clearing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use super::sql::note_event;
use crate::journal::row::first_id_at;
use crate::sqlite::store::SqliteStore;
use crate::{JournalKind, Retention, StoreError};

/// Number of rows deleted in one transaction: a few milliseconds, for which a change of an access may have to wait.
pub(super) const DELETED_PER_BATCH: u32 = 1000;

/// Approximate size of the answers deleted in one transaction, in bytes: the same amount is written, because deleted data is
/// overwritten.
pub(super) const CLEARED_BYTES: i64 = 4 * 1024 * 1024;

/// The reason for a deletion of rows.
#[derive(Clone, Copy, Debug)]
pub(super) enum ClearingReason {
    Age,
    Size,
}

/// A clearing in progress: its row, once it is written, and the numbers of deleted rows and payloads so far.
#[derive(Clone, Copy)]
pub(super) struct Clearing {
    at_ms: i64,
    why: ClearingReason,
    row: Option<i64>,
    pub(super) rows: u64,
    pub(super) payloads: u64,
}

impl SqliteStore {
    pub(crate) async fn clear_old(
        &self,
        now_ms: i64,
        retention: &Retention,
    ) -> Result<(), StoreError> {
        let before = |age: Duration| {
            let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            first_id_at(now_ms.saturating_sub(age))
        };
        let below = (before(retention.rows), before(retention.payloads));
        let mut clearing = Clearing::new(now_ms, ClearingReason::Age);
        while self.clear_once(&mut clearing, below).await? {}
        Ok(())
    }

    /// Deletes one batch of the oldest rows and payloads below these numbers. Returns whether there may be more.
    async fn clear_once(
        &self,
        clearing: &mut Clearing,
        (rows_below, payloads_below): (i64, i64),
    ) -> Result<bool, StoreError> {
        let (mut cleared, edge_scrub_due) = (*clearing, Arc::clone(self.edge_scrub_due()));
        let clear = self.write(move |transaction| {
            let cut = first_beyond(transaction, rows_below.max(payloads_below))?;
            let up_to = |below: i64| cut.map_or(below, |cut| below.min(cut));
            let rows = transaction.execute(
                "DELETE FROM journal WHERE id IN (SELECT id FROM journal WHERE id < ? ORDER BY id LIMIT ?)",
                (up_to(rows_below), DELETED_PER_BATCH),
            )?;
            let payloads = transaction.execute(
                "DELETE FROM journal_payload
                 WHERE id IN (SELECT id FROM journal_payload WHERE id < ? ORDER BY id LIMIT ?)",
                (up_to(payloads_below), DELETED_PER_BATCH),
            )?;
            if rows + payloads == 0 {
                return Ok((cleared, false));
            }
            cleared.rows += rows as u64;
            cleared.payloads += payloads as u64;
            cleared.record(transaction)?;
            edge_scrub_due.store(true, Ordering::Release);
            let has_more = cut.is_some() || rows.max(payloads) == DELETED_PER_BATCH as usize;
            Ok((cleared, has_more))
        });
        let (cleared, has_more) = clear.await?;
        *clearing = cleared;
        Ok(has_more)
    }

    /// Returns the used size of the store's file in bytes, without receipts and events, which have their own limits, and without
    /// free pages, which will be filled again.
    pub(super) async fn bytes_in_use(&self) -> Result<u64, StoreError> {
        self.read(|connection| {
            let mut bytes = connection.prepare_cached(
                "SELECT ((SELECT page_count FROM pragma_page_count) - (SELECT freelist_count FROM pragma_freelist_count))
                 * (SELECT page_size FROM pragma_page_size) - (SELECT bytes FROM receipt_room WHERE client_id = '')
                 - (SELECT value FROM event_marks WHERE name = 'bytes')",
            )?;
            let bytes = bytes.query_row([], |row| row.get::<_, i64>(0))?;
            Ok(u64::try_from(bytes).unwrap_or(0))
        })
        .await
    }
}

impl Clearing {
    pub(super) fn new(at_ms: i64, why: ClearingReason) -> Clearing {
        Clearing {
            at_ms,
            why,
            row: None,
            rows: 0,
            payloads: 0,
        }
    }

    /// Writes or updates the clearing's row, in the transaction of the deletion.
    pub(super) fn record(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let cause = format!(
            "{} rows and {} payloads, by {}",
            self.rows,
            self.payloads,
            match self.why {
                ClearingReason::Age => "age",
                ClearingReason::Size => "size",
            }
        );
        if let Some(id) = self.row {
            let update = "UPDATE journal SET cause = ? WHERE id = ?";
            connection.prepare_cached(update)?.execute((cause, id))?;
            return Ok(());
        }
        let event = (JournalKind::Clearing, "housekeeping", cause.as_str());
        self.row = Some(note_event(connection, self.at_ms, event)?);
        Ok(())
    }
}

/// Returns the first payload below this number that is not deleted with the oldest payloads, because the answers before it are
/// large enough for one transaction.
fn first_beyond(connection: &Connection, below: i64) -> Result<Option<i64>, StoreError> {
    let mut first = connection.prepare_cached(
        "SELECT id FROM (
             SELECT id, bytes, sum(bytes) OVER (ORDER BY id) AS with_it FROM (
                 SELECT id, coalesce(octet_length(answer), 0) AS bytes FROM journal_payload
                 WHERE id < ? ORDER BY id LIMIT ?))
         WHERE with_it - bytes >= ? ORDER BY id LIMIT 1",
    )?;
    let first = first.query_row((below, DELETED_PER_BATCH, CLEARED_BYTES), |row| row.get(0));
    Ok(first.optional()?)
}
