//! Erases a destination in PostgreSQL. Rows that contain it are found and changed in batches, and the remains of deleted rows are
//! cleared immediately. The destination stays in the database's own log and backups until those are deleted.

mod under_way;

use std::collections::BTreeSet;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::error::PgError;
use super::session::Value;
use super::store::PostgresStore;
use crate::erasure::sought::{EVENTS, Holds, Sought, SoughtTable, TABLES};
use crate::events::EVENT_BYTES;
use crate::{JournalKind, StoreError};

/// Maximum number of rows in one read, which takes some milliseconds.
const READ_AT_ONCE: i64 = 5000;

/// Maximum number of bytes in one read before its last row. One answer may have 256 KiB.
const READ_BYTES: i64 = 4 * 1024 * 1024;

/// Maximum number of rows in one deletion; with the longest answers 64 MiB.
const DELETED_AT_ONCE: usize = 250;

/// A row that contains the destination, and the new texts of its columns without the destination.
struct FoundRow {
    id: i64,
    rest: Vec<(&'static str, String)>,
}

/// The progress of an erasure.
#[derive(Default)]
struct ErasedRows {
    rows: u64,
    /// The tables and partitions of the erased rows.
    places: BTreeSet<String>,
}

impl PostgresStore {
    /// Erases a destination from all rows that contain it, including rows that are written during the erasure: sends under way
    /// write rows when they end, and other replicas write their waiting rows.
    ///
    /// # Errors
    /// When the database can't be read or written, or sends have not ended in time. Call this again then.
    pub(crate) async fn erase(
        &self,
        (actor, now_ms): (&str, i64),
        sought: &Sought,
    ) -> Result<u64, StoreError> {
        let coming = self.rows_to_come().await?;
        let mut erased = ErasedRows::default();
        for table in &TABLES {
            self.erase_from(&mut erased, (table, i64::MIN), sought)
                .await?;
        }
        let mut waited = Ok(());
        if coming.is_any() {
            waited = self.wait_for(&coming).await;
            for table in TABLES.iter().filter(|table| table.is_timed) {
                self.erase_from(&mut erased, (table, coming.beyond()), sought)
                    .await?;
            }
        }
        let ErasedRows { rows, mut places } = erased;
        let cause = format!("{rows} rows with one destination");
        let event = (JournalKind::Erasure, actor, cause.as_str());
        self.note_event(now_ms, event).await?;
        if places.contains("chatgate.event_chats") {
            places.insert("chatgate.event_messages".to_owned());
        }
        // This table has the rows of sends that have ended.
        places.insert("chatgate.intents".to_owned());
        for table in places {
            // Clears the remains of deleted rows.
            self.run(&format!("VACUUM {table}")).await?;
        }
        waited.map(|()| rows)
    }

    /// Erases the destination from the rows of a table beyond this number.
    async fn erase_from(
        &self,
        erased: &mut ErasedRows,
        from: (&'static SoughtTable, i64),
        sought: &Sought,
    ) -> Result<(), PgError> {
        let found = self.rows_with(from, sought).await?;
        erased.rows += found.len() as u64;
        erased.places.extend(self.erase_rows(from.0, &found).await?);
        Ok(())
    }

    /// Does nothing, because [`PostgresStore::erase`] clears the remains of deleted rows itself.
    pub(crate) async fn scrub(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn rows_with(
        &self,
        (table, mut beyond): (&'static SoughtTable, i64),
        sought: &Sought,
    ) -> Result<Vec<FoundRow>, PgError> {
        let some = some_rows(table);
        let mut found = Vec::new();
        loop {
            let values: [Value<'_>; 3] = [
                (&beyond, Type::INT8),
                (&READ_AT_ONCE, Type::INT8),
                (&READ_BYTES, Type::INT8),
            ];
            let rows = self.pool().ask_slowly(&some, &values).await?;
            if rows.is_empty() {
                return Ok(found);
            }
            for row in &rows {
                beyond = row.try_get("number")?;
                found.extend(found_in(table, sought, beyond, row)?);
            }
        }
    }

    /// Erases the destination from these rows. Returns the tables and partitions of the rows.
    async fn erase_rows(
        &self,
        table: &'static SoughtTable,
        found: &[FoundRow],
    ) -> Result<BTreeSet<String>, PgError> {
        let SoughtTable { name, id, .. } = table;
        let place = "tableoid::regclass::text AS place";
        let mut places = BTreeSet::new();
        if table.goes {
            let mut delete =
                format!("DELETE FROM chatgate.{name} WHERE {id} = ANY($1) RETURNING {place}");
            if *name == EVENTS {
                // The same statement subtracts the bytes of the deleted events from the size of the log.
                delete = format!(
                    "WITH gone AS ({delete}, {EVENT_BYTES} + coalesce(octet_length(\"row\"), 0) AS taken), discounted AS (
                         UPDATE chatgate.event_marks SET value = greatest(value - (SELECT coalesce(sum(taken), 0) FROM gone), 0)
                         WHERE name = 'bytes'
                     ) SELECT place FROM gone"
                );
            }
            for some in found.chunks(DELETED_AT_ONCE) {
                let ids: Vec<i64> = some.iter().map(|row| row.id).collect();
                let gone = self
                    .pool()
                    .ask_slowly(&delete, &[(&ids, Type::INT8_ARRAY)])
                    .await?;
                note_places(&mut places, &gone)?;
            }
            return Ok(places);
        }
        for row in found {
            for (column, rest) in &row.rest {
                let update = format!(
                    "UPDATE chatgate.{name} SET {column} = $2 WHERE {id} = $1 RETURNING {place}"
                );
                let values: [Value<'_>; 2] = [(&row.id, Type::INT8), (rest, Type::TEXT)];
                let changed = self.pool().ask_slowly(&update, &values).await?;
                note_places(&mut places, &changed)?;
            }
        }
        Ok(places)
    }
}

/// Builds the query for the next rows of a table: as many as fit into the bytes of one read, and one more.
fn some_rows(table: &SoughtTable) -> String {
    let SoughtTable { name, id, .. } = table;
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

fn note_places(places: &mut BTreeSet<String>, rows: &[Row]) -> Result<(), PgError> {
    for row in rows {
        places.insert(row.try_get("place")?);
    }
    Ok(())
}

/// Returns the row without the destination, or `None` if the row does not contain the destination.
fn found_in(
    table: &'static SoughtTable,
    sought: &Sought,
    id: i64,
    row: &Row,
) -> Result<Option<FoundRow>, PgError> {
    let (mut stands, mut rest) = (false, Vec::new());
    for (column, holds) in table.columns {
        let name = column.trim_matches('"');
        if *holds == Holds::Hash {
            let hash: Option<&[u8]> = row.try_get(name)?;
            stands |= hash.is_some_and(|hash| sought.has_hash(hash));
            continue;
        }
        let text: Option<&str> = row.try_get(name)?;
        let Some(text) = text.filter(|text| sought.stands_in(text)) else {
            continue;
        };
        stands = true;
        rest.extend(sought.taken_from(text, *holds).map(|rest| (*column, rest)));
    }
    Ok(stands.then_some(FoundRow { id, rest }))
}
