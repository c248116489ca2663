//! Clears the journal by size. Rows of unknown callers have a small share of the room and are deleted first. Sends and the actions
//! of operators are deleted last.

use std::sync::atomic::Ordering;

use rusqlite::{Connection, OptionalExtension};

use super::retention::{CLEARED_BYTES, Clearing, ClearingReason, DELETED_PER_BATCH};
use crate::journal::row::first_id_at;
use crate::journal::surplus::{EarlyRows, KEPT_PERCENT, unknown_rows_max};
use crate::sqlite::erasure::scrub_all;
use crate::sqlite::store::SqliteStore;
use crate::{CallerClass, Retention, StoreError};

/// The kind of rows to search for, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowSelection {
    /// Rows of unknown callers.
    Unknown,
    /// All requests except sends, and rejected actions of operators and strangers on the operators' side.
    Plain,
    /// All remaining rows except open ones, whose receipts are found by them.
    Any,
}

impl RowSelection {
    /// Returns the query for the ids of these rows, after one id and below another.
    fn query(self) -> &'static str {
        match self {
            RowSelection::Unknown => {
                "SELECT id FROM journal INDEXED BY journal_of_unknown
                 WHERE access IS NULL AND kind = 'request' AND id > ? AND id < ? ORDER BY id LIMIT ?"
            }
            RowSelection::Plain => {
                "SELECT id FROM journal WHERE ((kind = 'request' AND delivery IS NULL AND open = 0)
                 OR (kind = 'operator' AND code IS NOT NULL)) AND id > ? AND id < ? ORDER BY id LIMIT ?"
            }
            RowSelection::Any => "SELECT id FROM journal WHERE open = 0 AND id > ? AND id < ? ORDER BY id LIMIT ?",
        }
    }
}

/// A clearing by size, and the numbers of rows that it deleted early.
struct SizeClearingRun {
    clearing: Clearing,
    /// Rows with this number and above have not reached the end of their retention.
    young_from: i64,
    early: EarlyRows,
}

impl SqliteStore {
    pub(crate) async fn clear_surplus(
        &self,
        now_ms: i64,
        retention: &Retention,
    ) -> Result<(), StoreError> {
        let age_ms = i64::try_from(retention.rows.as_millis()).unwrap_or(i64::MAX);
        let mut surplus = SizeClearingRun {
            clearing: Clearing::new(now_ms, ClearingReason::Size),
            young_from: first_id_at(now_ms.saturating_sub(age_ms)),
            early: EarlyRows::default(),
        };
        let cleared = self.clear_by_size(&mut surplus, retention).await;
        surplus.early.log();
        cleared
    }

    async fn clear_by_size(
        &self,
        surplus: &mut SizeClearingRun,
        retention: &Retention,
    ) -> Result<(), StoreError> {
        // The bound comes from the rows, not from the clock: if the clock was once ahead, all rows have numbers above the current
        // time. The clearing's own row and all new rows are above this bound.
        let below = self.read(next_number).await?;
        self.clear_unknown(surplus, below, unknown_rows_max(retention.bytes))
            .await?;
        if self.bytes_in_use().await? <= retention.bytes {
            return Ok(());
        }
        let enough = retention.bytes / 100 * KEPT_PERCENT;
        for which in [RowSelection::Plain, RowSelection::Any] {
            // Before this row, only rows remain that are deleted last, so that the search skips them.
            let walked = &self.memory().journal.plain_cleared_to;
            let mut beyond = match which {
                RowSelection::Plain => walked.load(Ordering::Relaxed),
                RowSelection::Unknown | RowSelection::Any => 0,
            };
            let most = DELETED_PER_BATCH;
            while let Some(last) = self
                .clear_oldest(surplus, (which, most), (beyond, below))
                .await?
            {
                beyond = last;
                if which == RowSelection::Plain {
                    walked.store(last, Ordering::Relaxed);
                }
                if self.bytes_in_use().await? <= enough {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Deletes the oldest rows of unknown callers if there are more than `rows_max`.
    async fn clear_unknown(
        &self,
        surplus: &mut SizeClearingRun,
        below: i64,
        rows_max: u64,
    ) -> Result<(), StoreError> {
        let rows = self.read(|connection| {
            let rows = "SELECT count(*) FROM journal INDEXED BY journal_of_unknown
                 WHERE access IS NULL AND kind = 'request'";
            Ok(connection.query_row(rows, [], |row| row.get::<_, i64>(0))?)
        });
        let rows = rows.await?.unsigned_abs();
        if rows <= rows_max {
            return Ok(());
        }
        let mut left = rows - rows_max * KEPT_PERCENT / 100;
        let mut beyond = 0;
        while left > 0 {
            let before = surplus.clearing.rows;
            let from = (beyond, below);
            let most = u32::try_from(left)
                .unwrap_or(u32::MAX)
                .min(DELETED_PER_BATCH);
            let wanted = (RowSelection::Unknown, most);
            let Some(last) = self.clear_oldest(surplus, wanted, from).await? else {
                break;
            };
            beyond = last;
            left = left.saturating_sub(surplus.clearing.rows - before);
        }
        Ok(())
    }

    /// Deletes at most this number of rows with their payloads, after one number and below another. Returns the number of the last
    /// deleted row, if there was one.
    async fn clear_oldest(
        &self,
        surplus: &mut SizeClearingRun,
        (which, most): (RowSelection, u32),
        (beyond, below): (i64, i64),
    ) -> Result<Option<i64>, StoreError> {
        // The search uses a reading connection, so that a long search does not delay writes.
        let ids = self.read(move |connection| {
            let mut ids = connection.prepare_cached(which.query())?;
            let ids = ids.query_map((beyond, below, most), |row| row.get(0))?;
            fit_transaction(connection, ids.collect::<Result<_, _>>()?)
        });
        let ids = ids.await?;
        let Some(last) = ids.last().copied() else {
            return Ok(None);
        };
        let mut clearing = surplus.clearing;
        let clear = self.write(move |transaction| {
            let list = serde_json::to_string(&ids).unwrap_or_default();
            let gone = delete_rows(transaction, &list)?;
            let payloads = transaction.execute(
                "DELETE FROM journal_payload WHERE id IN (SELECT value FROM json_each(?))",
                [&list],
            )?;
            clearing.rows += gone.len() as u64;
            clearing.payloads += payloads as u64;
            clearing.record(transaction)?;
            if payloads > 0 {
                // Rows are deleted from between other rows, so that their remains may be on any page.
                scrub_all(transaction)?;
            }
            Ok((clearing, gone))
        });
        let (clearing, gone) = clear.await?;
        surplus.clearing = clearing;
        for gone in &gone {
            if let Some(class) = surplus.count_early(gone) {
                self.memory().journal.cleared_early.add(class, 1);
            }
        }
        Ok(Some(last))
    }
}

/// Returns the number above all rows.
fn next_number(connection: &Connection) -> Result<i64, StoreError> {
    let next = "SELECT coalesce(max(id), 0) + 1 FROM journal";
    Ok(connection.query_row(next, [], |row| row.get(0))?)
}

/// A deleted row.
struct DeletedRow {
    id: i64,
    is_unknown: bool,
    is_plain: bool,
}

/// Deletes the rows with these numbers, which are given as a JSON list.
fn delete_rows(connection: &Connection, list: &str) -> Result<Vec<DeletedRow>, StoreError> {
    let mut gone = connection.prepare_cached(
        "DELETE FROM journal WHERE id IN (SELECT value FROM json_each(?))
         RETURNING id, access IS NULL AND kind = 'request' AS unknown,
             (kind = 'request' AND delivery IS NULL AND open = 0) OR (kind = 'operator' AND code IS NOT NULL) AS plain",
    )?;
    let gone = gone.query_map([list], |row| {
        Ok(DeletedRow {
            id: row.get("id")?,
            is_unknown: row.get("unknown")?,
            is_plain: row.get("plain")?,
        })
    })?;
    Ok(gone.collect::<Result<_, _>>()?)
}

/// Returns as many of the first of these rows as have answers that fit into one transaction.
fn fit_transaction(connection: &Connection, mut ids: Vec<i64>) -> Result<Vec<i64>, StoreError> {
    let list = serde_json::to_string(&ids).unwrap_or_default();
    let mut beyond = connection.prepare_cached(
        "SELECT id FROM (
             SELECT id, bytes, sum(bytes) OVER (ORDER BY id) AS with_it FROM (
                 SELECT id, coalesce(octet_length(answer), 0) AS bytes FROM journal_payload
                 WHERE id IN (SELECT value FROM json_each(?))))
         WHERE with_it - bytes >= ? ORDER BY id LIMIT 1",
    )?;
    let beyond = beyond.query_row((list, CLEARED_BYTES), |row| row.get::<_, i64>(0));
    if let Some(beyond) = beyond.optional()? {
        ids.retain(|id| *id < beyond);
    }
    Ok(ids)
}

impl SizeClearingRun {
    /// Counts a deleted row. Returns its class if its retention was not over.
    fn count_early(&mut self, gone: &DeletedRow) -> Option<CallerClass> {
        if gone.id < self.young_from {
            return None;
        }
        let (count, class) = match (gone.is_unknown, gone.is_plain) {
            (true, _) => (&mut self.early.unknown, CallerClass::Unknown),
            (false, true) => (&mut self.early.plain, CallerClass::Known),
            (false, false) => (&mut self.early.lasting, CallerClass::Known),
        };
        *count += 1;
        Some(class)
    }
}
