//! Erasing a destination in PostgreSQL: rows in which it stands are found and changed a few at a time, and what they leave in the
//! tables is cleared at once. What the database's own log and its backups hold stays there as long as those are kept.

use std::collections::BTreeSet;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::error::PgError;
use super::session::Value;
use super::store::PostgresStore;
use crate::erasure::sought::{EVENTS, Holds, Sought, SoughtTable, TABLES};
use crate::events::EVENT_BYTES;
use crate::{JournalKind, StoreError};

/// Rows that are read at once: some milliseconds.
const READ_AT_ONCE: i64 = 5000;

/// Rows deleted at once.
const DELETED_AT_ONCE: usize = 1000;

/// A row in which it stands, and what its columns hold without it.
struct FoundRow {
    id: i64,
    rest: Vec<(&'static str, String)>,
}

impl PostgresStore {
    /// Takes a destination from all rows in which it stands.
    pub(crate) async fn erase(
        &self,
        (actor, now_ms): (&str, i64),
        sought: &Sought,
    ) -> Result<u64, StoreError> {
        let (mut erased, mut touched) = (0, BTreeSet::new());
        for table in &TABLES {
            let found = self.rows_with(table, sought).await?;
            erased += found.len() as u64;
            touched.extend(self.erase_rows(table, &found).await?);
        }
        let cause = format!("{erased} rows with one destination");
        let event = (JournalKind::Erasure, actor, cause.as_str());
        self.note_event(now_ms, event).await?;
        if touched.contains("chatgate.event_chats") {
            touched.insert("chatgate.event_messages".to_owned());
        }
        for table in touched {
            // Clears what deleted rows have left.
            self.run(&format!("VACUUM {table}")).await?;
        }
        Ok(erased)
    }

    /// Nothing is left to overwrite: what is deleted is cleared when it is.
    pub(crate) async fn scrub(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn rows_with(
        &self,
        table: &'static SoughtTable,
        sought: &Sought,
    ) -> Result<Vec<FoundRow>, PgError> {
        let SoughtTable { name, id, .. } = table;
        let names = table.names();
        let some = format!(
            "SELECT {id} AS number, {names} FROM chatgate.{name} WHERE {id} > $1 ORDER BY {id} LIMIT $2"
        );
        let (mut found, mut beyond) = (Vec::new(), i64::MIN);
        loop {
            let values: [Value<'_>; 2] = [(&beyond, Type::INT8), (&READ_AT_ONCE, Type::INT8)];
            let rows = self.pool().read(&some, &values).await?;
            for row in &rows {
                beyond = row.try_get("number")?;
                found.extend(found_in(table, sought, beyond, row)?);
            }
            if (rows.len() as i64) < READ_AT_ONCE {
                return Ok(found);
            }
        }
    }

    /// Takes it from these rows, and returns the tables and partitions that they were in.
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
                // What they take is off the bytes of the log in the same moment.
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
                    .write(&delete, &[(&ids, Type::INT8_ARRAY)])
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
                let changed = self.pool().write(&update, &values).await?;
                note_places(&mut places, &changed)?;
            }
        }
        Ok(places)
    }
}

fn note_places(places: &mut BTreeSet<String>, rows: &[Row]) -> Result<(), PgError> {
    for row in rows {
        places.insert(row.try_get("place")?);
    }
    Ok(())
}

/// The row without it, if it stands there.
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
