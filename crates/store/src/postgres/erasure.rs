//! Erases a destination in PostgreSQL. Rows that contain it are found and changed in batches, and the remains of deleted rows are
//! cleared immediately. The destination stays in the database's own log and backups until those are deleted. Slow statements use a
//! connection outside the pool, so that callers do not wait for an erasure.

mod chats;
mod under_way;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::error::PgError;
use super::session::Value;
use super::slow::SlowConnection;
use super::store::PostgresStore;
use crate::erasure::target::{
    ColumnContent, EVENTS, ErasureTarget, RowErasure, SearchedTable, TABLES,
};
use crate::events::EVENT_BYTES;
use crate::{JournalKind, StoreError};

/// Maximum number of rows in one read, which takes some milliseconds.
const READ_PER_BATCH: i64 = 5000;

/// Maximum number of bytes in one read before its last row. One answer may have 256 KiB.
const READ_BYTES: i64 = 4 * 1024 * 1024;

/// Maximum number of rows in one deletion; with the longest answers 64 MiB.
const DELETED_PER_BATCH: usize = 250;

/// The tables that an erasure changes indirectly: the messages of erased chats, and the rows of sends that have ended.
const OTHER_TABLES: [&str; 2] = ["event_messages", "intents"];

impl PostgresStore {
    /// Records an erasure of this number of rows, and clears the remains of the rows.
    pub(crate) async fn end_erasure(
        &self,
        (actor, now_ms): (&str, i64),
        rows: u64,
    ) -> Result<(), StoreError> {
        let cause = format!("{rows} rows with one destination");
        let event = (JournalKind::Erasure, actor, cause.as_str());
        self.note_event(now_ms, event).await?;
        Ok(self.vacuum().await?)
    }

    /// Clears the remains of deleted rows. Clears them in all tables, because an earlier erasure may have failed after it deleted
    /// rows. Pages without remains are skipped.
    async fn vacuum(&self) -> Result<(), PgError> {
        let mut slow = self.slow();
        let tables = TABLES.iter().map(|table| table.name);
        for table in tables.chain(OTHER_TABLES) {
            slow.run(&format!("VACUUM chatgate.{table}")).await?;
        }
        Ok(())
    }

    /// Erases the destination from the rows of a table beyond this number, one read at a time, so that memory holds no more than
    /// one read. Returns the number of rows that contained the destination.
    pub(crate) async fn erase_from(
        &self,
        (table, mut beyond): (&'static SearchedTable, i64),
        sought: &ErasureTarget,
    ) -> Result<u64, StoreError> {
        let mut slow = self.slow();
        let (some, mut erased) = (next_rows_query(table), 0);
        loop {
            let values: [Value<'_>; 3] = [
                (&beyond, Type::INT8),
                (&READ_PER_BATCH, Type::INT8),
                (&READ_BYTES, Type::INT8),
            ];
            let rows = slow.ask(&some, &values).await?;
            let Some(last) = rows.last() else {
                return Ok(erased);
            };
            beyond = last.try_get("number").map_err(PgError::from)?;
            erased += match table.erasure {
                RowErasure::Delete => delete_found(&mut slow, table, sought, &rows).await?,
                RowErasure::Redact => change_found(&mut slow, table, sought, &rows).await?,
                RowErasure::HashChat => {
                    let found = found(table, sought, &rows)?;
                    if !found.is_empty() {
                        chats::hash_chats(&mut slow, sought, &found).await?;
                    }
                    found.len() as u64
                }
            };
        }
    }

    /// Does nothing, because [`PostgresStore::end_erasure`] clears the remains of deleted rows itself.
    pub(crate) async fn scrub(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Deletes the rows that contain the destination. Returns the number of these rows.
async fn delete_found(
    slow: &mut SlowConnection<'_>,
    table: &SearchedTable,
    sought: &ErasureTarget,
    rows: &[Row],
) -> Result<u64, PgError> {
    let SearchedTable { name, id, .. } = table;
    let mut delete = format!("DELETE FROM chatgate.{name} WHERE {id} = ANY($1)");
    if *name == EVENTS {
        // The same statement counts the erasure for the memories of all replicas, and subtracts the bytes of the deleted events from
        // the size of the log.
        delete = format!(
            "WITH gone AS ({delete} RETURNING {EVENT_BYTES} + coalesce(octet_length(\"row\"), 0) AS taken),
            counted AS (INSERT INTO chatgate.event_marks AS m (name, value) VALUES ('erasures', 1)
                ON CONFLICT (name) DO UPDATE SET value = m.value + 1)
            UPDATE chatgate.event_marks SET value = greatest(value - (SELECT coalesce(sum(taken), 0) FROM gone), 0)
            WHERE name = 'bytes'"
        );
    }
    let found = found(table, sought, rows)?;
    for ids in found.chunks(DELETED_PER_BATCH) {
        slow.ask(&delete, &[(&ids, Type::INT8_ARRAY)]).await?;
    }
    Ok(found.len() as u64)
}

/// Returns the numbers of the rows that contain the destination.
fn found(table: &SearchedTable, sought: &ErasureTarget, rows: &[Row]) -> Result<Vec<i64>, PgError> {
    let mut found = Vec::new();
    for row in rows {
        if occurs_in(table, sought, row)? {
            found.push(row.try_get("number")?);
        }
    }
    Ok(found)
}

/// Removes the destination from the texts of the rows. Returns the number of rows that contained it.
async fn change_found(
    slow: &mut SlowConnection<'_>,
    table: &SearchedTable,
    sought: &ErasureTarget,
    rows: &[Row],
) -> Result<u64, PgError> {
    let SearchedTable { name, id, .. } = table;
    let mut found = 0;
    for row in rows {
        if !occurs_in(table, sought, row)? {
            continue;
        }
        found += 1;
        let number: i64 = row.try_get("number")?;
        for (column, holds) in table.columns {
            let text: Option<&str> = row.try_get(column.trim_matches('"'))?;
            let Some(rest) = text.and_then(|text| sought.redacted(text, *holds)) else {
                continue;
            };
            let update = format!("UPDATE chatgate.{name} SET {column} = $2 WHERE {id} = $1");
            let values: [Value<'_>; 2] = [(&number, Type::INT8), (&rest, Type::TEXT)];
            slow.ask(&update, &values).await?;
        }
    }
    Ok(found)
}

/// Returns whether a row contains the destination.
fn occurs_in(table: &SearchedTable, sought: &ErasureTarget, row: &Row) -> Result<bool, PgError> {
    for (column, holds) in table.columns {
        let name = column.trim_matches('"');
        let stands = if *holds == ColumnContent::Hash {
            let hash: Option<&[u8]> = row.try_get(name)?;
            hash.is_some_and(|hash| sought.has_hash(hash))
        } else {
            let text: Option<&str> = row.try_get(name)?;
            text.is_some_and(|text| sought.occurs_in(text))
        };
        if stands {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Builds the query for the next rows of a table: as many as fit into the bytes of one read, and one more.
fn next_rows_query(table: &SearchedTable) -> String {
    let SearchedTable { name, id, .. } = table;
    let names = table.names();
    let bytes = table
        .columns
        .iter()
        .map(|(column, _)| format!("coalesce(octet_length({column}), 0)"));
    let bytes = bytes.collect::<Vec<_>>().join(" + ");
    format!(
        "SELECT * FROM (
            SELECT *, sum(bytes) OVER (ORDER BY number) - bytes AS bytes_before FROM (
                SELECT {id} AS number, {names}, {bytes} AS bytes FROM chatgate.{name}
                WHERE {id} > $1 ORDER BY {id} LIMIT $2) AS listed) AS weighed
        WHERE bytes_before <= $3 ORDER BY number"
    )
}
