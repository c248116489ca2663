//! Forgetting a destination: what was said, and every text in which it stands. Rows are looked for beside everybody else, and
//! taken away a few at a time, so that no send waits for more than a few milliseconds; then what SQLite leaves of them in the
//! file is overwritten.

mod overwriting;
mod scrub;
mod traces;

use std::path::Path;
use std::sync::Arc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Transaction};
use serde_json::Value;
use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use crate::database::BUSY_TIMEOUT;
use crate::journal::{destination_hash, tell};
use crate::{Store, StoreError};

pub(crate) use scrub::Pages;
use traces::Traces;

/// Rows that are read before others may use the thread: some milliseconds of reading.
const READ_AT_ONCE: usize = 5000;

/// Rows changed in one transaction: with the longest answers 16 MiB, which a disk takes in a moment.
const ERASED_AT_ONCE: usize = 64;

/// A table that may hold a destination.
struct Table {
    name: &'static str,
    id: &'static str,
    columns: &'static [(&'static str, Holds)],
    /// Whether a row goes as a whole when something of it has to.
    goes: bool,
}

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// A text, in which something else can stand in a destination's place.
    Text,
    /// A JSON document, in whose texts it can.
    Document,
    /// The result of a send, as it is told again: an empty one is one, too.
    Result,
    /// The keyed hash of a destination.
    Hash,
}

/// Names of accesses and operators are not among them: operators have chosen them, and change them themselves.
static TABLES: [Table; 4] = [
    Table {
        name: "journal_payload",
        id: "id",
        columns: &[
            ("destination", Holds::Hash),
            ("parameters", Holds::Text),
            ("answer", Holds::Text),
        ],
        goes: true,
    },
    Table {
        name: "journal",
        id: "id",
        columns: &[
            ("request_id", Holds::Text),
            ("caller_request_id", Holds::Text),
            ("http_method", Holds::Text),
            ("code", Holds::Text),
            ("upstream_code", Holds::Text),
            ("user_agent", Holds::Text),
            ("cause", Holds::Text),
            ("would_refuse", Holds::Text),
        ],
        goes: false,
    },
    Table {
        name: "receipts",
        id: "row",
        columns: &[("request_id", Holds::Text), ("answer", Holds::Result)],
        goes: false,
    },
    Table {
        name: "changes",
        id: "id",
        columns: &[("before", Holds::Document), ("after", Holds::Document)],
        goes: false,
    },
];

/// What is looked for.
struct Sought {
    traces: Traces,
    /// Under which calls to it are found.
    hashes: Vec<Vec<u8>>,
}

impl Store {
    /// Takes away what is kept of a destination: parameters and answers of calls to it, and every text of the journal, of
    /// receipts and of past changes in which it stands, however it is written there. A receipt goes on to count: nothing is
    /// sent twice. A row tells that it was done, by whom, and not of whom. Gives the number of rows that lost something. Nothing
    /// of it is left in the file.
    ///
    /// # Errors
    /// When the store can't be written: do it again then. When somebody reads the file for so long that what is left of it there
    /// can't be overwritten: that is done as soon as it can be.
    pub async fn erase_destination(
        self: &Arc<Self>,
        (actor, now_ms): (&str, i64),
        destination: &str,
    ) -> Result<u64, StoreError> {
        // What waits to be written may speak of it as well.
        self.journal().flush().await?;
        let traces = Traces::of(destination);
        let hashes = traces
            .variants()
            .map(|variant| destination_hash(self.journal_key(), variant))
            .collect();
        let sought = Arc::new(Sought { traces, hashes });
        let mut erased = 0;
        for table in &TABLES {
            for ids in find_all(self.file(), table, &sought)
                .await?
                .chunks(ERASED_AT_ONCE)
            {
                erased += self.erase_rows(table, &sought, ids).await?;
            }
        }
        let mut writer = self.writer().await?;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        let cause = format!("{erased} rows with one destination");
        tell(&mut transaction, now_ms, ("erasure", actor, cause)).await?;
        scrub_all(&mut transaction).await?;
        transaction.commit().await?;
        drop(writer);
        self.scrub().await?;
        Ok(erased)
    }

    /// Takes it from these rows.
    async fn erase_rows(
        self: &Arc<Self>,
        table: &'static Table,
        sought: &Arc<Sought>,
        ids: &[i64],
    ) -> Result<u64, StoreError> {
        let (store, sought, ids) = (Arc::clone(self), Arc::clone(sought), ids.to_vec());
        let runtime = Handle::current();
        // The turn is taken where the work is: whoever gives up waiting does not give it away.
        let erase = move || {
            let _turn = runtime.block_on(store.turn())?;
            let mut erased = 0;
            store.pen().within(|transaction| {
                for id in &ids {
                    erased += u64::from(table.erase(transaction, &sought, *id)?);
                }
                Ok(())
            })?;
            Ok(erased)
        };
        spawn_blocking(erase)
            .await
            .map_err(|error| StoreError::new(error.to_string()))?
    }
}

/// From now on every page has to be looked at.
pub(crate) async fn scrub_all(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    for statement in [
        "DELETE FROM scrubbing",
        "INSERT INTO scrubbing (next_page) VALUES (1)",
    ] {
        sqlx::query(statement).execute(&mut *connection).await?;
    }
    Ok(())
}

/// The rows of a table in which it stands.
async fn find_all(
    file: &Path,
    table: &'static Table,
    sought: &Arc<Sought>,
) -> Result<Vec<i64>, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let (mut found, mut beyond) = (Vec::new(), Some(i64::MIN));
    while let Some(last) = beyond {
        let sought = Arc::clone(sought);
        let read = move || {
            let some = table.find_some(&connection, &sought, last);
            (connection, some)
        };
        let read = spawn_blocking(read).await;
        let (back, some) = read.map_err(|error| StoreError::new(error.to_string()))?;
        connection = back;
        let (some, last) = some?;
        found.extend(some);
        beyond = last;
    }
    Ok(found)
}

impl Table {
    fn names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }

    /// The rows beyond this one in which it stands, of as many as are read at once; and the last that was read, unless there are
    /// no more.
    fn find_some(
        &self,
        connection: &Connection,
        sought: &Sought,
        beyond: i64,
    ) -> Result<(Vec<i64>, Option<i64>), StoreError> {
        let Table { name, id, .. } = self;
        let names = self.names();
        let query = format!(
            "SELECT {id}, {names} FROM {name} WHERE {id} > ? ORDER BY {id} LIMIT {READ_AT_ONCE}"
        );
        let mut query = connection.prepare_cached(&query)?;
        let mut rows = query.query([beyond])?;
        let (mut found, mut last, mut count) = (Vec::new(), None, 0);
        while let Some(row) = rows.next()? {
            let number = row.get(0)?;
            for (column, (_, holds)) in self.columns.iter().enumerate() {
                if sought.stands_in(row.get_ref(column + 1)?, *holds) {
                    found.push(number);
                    break;
                }
            }
            last = Some(number);
            count += 1;
        }
        Ok((found, last.filter(|_| count == READ_AT_ONCE)))
    }

    /// Takes it from a row; says whether it stood there.
    fn erase(
        &self,
        transaction: &Transaction<'_>,
        sought: &Sought,
        number: i64,
    ) -> Result<bool, StoreError> {
        let Table { name, id, .. } = self;
        if self.goes {
            let delete = format!("DELETE FROM {name} WHERE {id} = ?");
            let deleted = transaction.prepare_cached(&delete)?.execute([number])?;
            return Ok(deleted > 0);
        }
        let mut stood = false;
        for (column, holds) in self.columns {
            let select = format!("SELECT {column} FROM {name} WHERE {id} = ?");
            let mut select = transaction.prepare_cached(&select)?;
            let mut rows = select.query([number])?;
            // Rows may have been cleared since.
            let Some(row) = rows.next()? else { break };
            let Some(rest) = sought.taken_from(row.get_ref(0)?, *holds) else {
                continue;
            };
            drop(rows);
            let update = format!("UPDATE {name} SET {column} = ? WHERE {id} = ?");
            transaction
                .prepare_cached(&update)?
                .execute((rest, number))?;
            stood = true;
        }
        Ok(stood)
    }
}

impl Sought {
    fn stands_in(&self, value: ValueRef<'_>, holds: Holds) -> bool {
        match value {
            ValueRef::Blob(hash) => {
                holds == Holds::Hash && self.hashes.iter().any(|one| one == hash)
            }
            ValueRef::Text(text) => {
                std::str::from_utf8(text).is_ok_and(|text| self.traces.stand_in(text))
            }
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => false,
        }
    }

    /// What is left of a value in which it stands.
    fn taken_from(&self, value: ValueRef<'_>, holds: Holds) -> Option<String> {
        let text = value
            .as_str()
            .ok()
            .filter(|text| self.traces.stand_in(text))?;
        match holds {
            Holds::Text => self.traces.taken_from(text),
            Holds::Result => Some("{}".to_owned()),
            Holds::Document => {
                let mut document = serde_json::from_str(text).ok()?;
                self.take_from_document(&mut document);
                Some(document.to_string())
            }
            Holds::Hash => None,
        }
    }

    fn take_from_document(&self, document: &mut Value) {
        match document {
            Value::String(text) => {
                if let Some(rest) = self.traces.taken_from(text) {
                    *text = rest;
                }
            }
            Value::Array(values) => values
                .iter_mut()
                .for_each(|value| self.take_from_document(value)),
            Value::Object(members) => {
                members
                    .values_mut()
                    .for_each(|value| self.take_from_document(value));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
