//! The connection over which the journal is written, and nothing else. Every request costs a row, and straight over SQLite,
//! with statements that are kept, a row costs a third of what it does through the connection that everything else shares.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::LazyLock;

use aws_lc_rs::hmac;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, OpenFlags, Transaction, TransactionBehavior};

use super::queue::{Counting, Entry};
use super::{JournalPayload, JournalRow, address, first_id_at, sql};
use crate::database::{BUSY_TIMEOUT, WAL_PAGES};
use crate::{Settlement, StoreError, receipts};

/// Pages that the connection keeps in memory, as SQLite writes kibibytes: the ends of all indexes of the journal.
const CACHE_KIB: i32 = -4_096;

/// Rows of one statement: its cursors stay where the last row went, which is where the next one goes as a rule. The values of
/// more rows would not find room in the memory that SQLite sets aside for a connection.
const GROUP: usize = 4;

/// The columns in the order in which [`Sheet::bind_row`] binds them.
const COLUMNS: [&str; 32] = [
    "id",
    "kind",
    "open",
    "count",
    "request_id",
    "caller_request_id",
    "trace_id",
    "way",
    "access",
    "method",
    "http_method",
    "path",
    "peer",
    "client",
    "status",
    "canonical",
    "code",
    "upstream_code",
    "delivery",
    "attempts",
    "queue_us",
    "upstream_us",
    "total_us",
    "cache",
    "limited_by",
    "limit_max",
    "limit_left",
    "generation",
    "user_agent",
    "cause",
    "would_refuse",
    "actor",
];

/// Likewise, for [`Sheet::bind_payload`].
const PAYLOAD_COLUMNS: [&str; 4] = ["id", "destination", "parameters", "answer"];

const CLOSE: &str = "UPDATE journal SET open = 0, status = ?, canonical = ?, code = ?, upstream_code = ?, delivery = ?, \
     attempts = ?, queue_us = ?, upstream_us = ?, total_us = ?, cache = ?, limited_by = ?, limit_max = ?, limit_left = ?, \
     cause = ?, would_refuse = ? WHERE id = ? AND open = 1";

/// Writes the journal of one store. Whoever uses it has the store's turn to write.
pub(crate) struct Pen {
    file: PathBuf,
    /// Under it destinations are hashed.
    key: hmac::Key,
    /// Opened when it is needed first, and again after it could not be brought to its senses.
    connection: Option<Connection>,
}

impl Pen {
    /// For this file, under this key for destinations. Opens nothing yet.
    pub(crate) fn new(file: PathBuf, key: hmac::Key) -> Pen {
        Pen {
            file,
            key,
            connection: None,
        }
    }

    /// Writes a batch in one transaction, in its order, and gives each row its number.
    ///
    /// # Errors
    /// When the store can't be written. Nothing of the batch has been written then.
    pub(super) fn write(&mut self, batch: &mut [Entry]) -> Result<(), StoreError> {
        let key = self.key.clone();
        self.within(|transaction| {
            let mut sheet = Sheet {
                connection: transaction,
                key: &key,
                last: None,
                text: String::new(),
            };
            sheet.write(batch)
        })
    }

    /// Writes something that changes nothing, to see whether it can.
    ///
    /// # Errors
    /// When it can't.
    pub(super) fn try_writing(&mut self) -> Result<(), StoreError> {
        self.within(|transaction| {
            let nothing = "UPDATE keys SET created_at = created_at WHERE purpose = 'journal'";
            transaction.prepare_cached(nothing)?.execute([])?;
            Ok(())
        })
    }

    /// Closes the file. It is opened again should anybody write.
    pub(crate) fn close(&mut self) {
        self.connection = None;
    }

    /// The connection, which is opened if it has to be.
    pub(super) fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => open(&self.file)?,
        };
        Ok(self.connection.insert(connection))
    }

    /// Has something written in one transaction.
    ///
    /// # Errors
    /// When the store can't be written. Nothing of it has been written then.
    pub(crate) fn within(
        &mut self,
        write: impl FnOnce(&Transaction<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let connection = self.connection()?;
        let written = in_transaction(connection, write);
        // What has failed is rolled back by now, by SQLite itself or by us. If even that failed, the next try must not become a
        // part of it.
        if !connection.is_autocommit() {
            self.connection = None;
        }
        written
    }
}

/// A connection that writes, and overwrites what it deletes.
///
/// # Errors
/// When the file can't be opened.
pub(crate) fn open(file: &std::path::Path) -> Result<Connection, StoreError> {
    // One thread at a time has it, so that SQLite need not see to that.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", CACHE_KIB)?;
    connection.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", WAL_PAGES, |_| Ok(()))?;
    Ok(connection)
}

fn in_transaction(
    connection: &mut Connection,
    write: impl FnOnce(&Transaction<'_>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    write(&transaction)?;
    transaction.commit()?;
    Ok(())
}

/// The statement that writes so many rows. What fails undoes the whole transaction, as we do anyway; short of that SQLite would
/// copy each page before each group.
fn insert_of(table: &str, columns: &[&str], rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns.len()].join(", "));
    let (columns, rows) = (columns.join(", "), vec![row; rows].join(", "));
    format!("INSERT OR ROLLBACK INTO {table} ({columns}) VALUES {rows}")
}

/// The statements for a group and for one that is left over.
type Inserts = LazyLock<[(usize, String); 2]>;

static INSERT: Inserts =
    LazyLock::new(|| [GROUP, 1].map(|rows| (rows, insert_of("journal", &COLUMNS, rows))));

static INSERT_PAYLOAD: Inserts = LazyLock::new(|| {
    [GROUP, 1].map(|rows| (rows, insert_of("journal_payload", &PAYLOAD_COLUMNS, rows)))
});

/// One transaction.
struct Sheet<'c> {
    connection: &'c Connection,
    key: &'c hmac::Key,
    /// The number of the last row, once there is one.
    last: Option<i64>,
    /// For what is a text only in the table.
    text: String,
}

impl<'c> Sheet<'c> {
    fn write(&mut self, batch: &mut [Entry]) -> Result<(), StoreError> {
        batch.iter_mut().try_for_each(|entry| self.prepare(entry))?;
        let rows: Vec<&JournalRow> = batch.iter().filter_map(Entry::new_row).collect();
        self.insert(&INSERT, &rows, Sheet::bind_row)?;
        let said = rows.into_iter().filter(|row| !row.payload.is_empty());
        let said: Vec<_> = said.collect();
        self.insert(&INSERT_PAYLOAD, &said, Sheet::bind_payload)
    }

    /// Gives a new row its number, and does what else there is to do.
    fn prepare(&mut self, entry: &mut Entry) -> Result<(), StoreError> {
        match entry {
            Entry::Row(row) => {
                row.id = self.next_id(row.at_ms)?;
                Ok(())
            }
            Entry::Counted(counting) => self.count(counting),
            Entry::Open(opening) => {
                let id = self.next_id(opening.row.at_ms)?;
                opening.row.id = id;
                if let Some(claim) = &opening.claim {
                    opening.obstacle = receipts::claim(self.connection, self.key, claim, id)?;
                }
                Ok(())
            }
            Entry::Close(id, outcome) => {
                self.close(*id, &outcome.row)?;
                match &outcome.settlement {
                    Some(settlement) => receipts::settle(self.connection, *id, settlement),
                    None => Ok(()),
                }
            }
            Entry::Withdraw(id) => {
                self.withdraw(*id)?;
                receipts::settle(self.connection, *id, &Settlement::Free)
            }
            Entry::Flush(_) => Ok(()),
        }
    }

    /// Makes the row of a count, or writes anew what the row says that was written before.
    fn count(&mut self, counting: &mut Counting) -> Result<(), StoreError> {
        counting.calls = counting.counted.calls();
        let Some(id) = counting.counted.id() else {
            let at_ms = counting.counted.row().map_or(0, |row| row.at_ms);
            let id = self.next_id(at_ms)?;
            counting.begin(id);
            return Ok(());
        };
        counting.id = id;
        counting.row = None;
        let calls = i64::try_from(counting.calls).unwrap_or(i64::MAX);
        let update = "UPDATE journal SET count = ? WHERE id = ?";
        self.connection
            .prepare_cached(update)?
            .execute([calls, id])?;
        Ok(())
    }

    /// The number that the next row gets at this time.
    fn next_id(&mut self, at_ms: i64) -> Result<i64, StoreError> {
        let first = first_id_at(at_ms);
        let id = match self.last {
            Some(last) => first.max(last + 1),
            None => {
                let mut query = self.connection.prepare_cached(sql::NEXT_ID)?;
                query.query_row([first], |row| row.get(0))?
            }
        };
        self.last = Some(id);
        Ok(id)
    }

    /// Writes what there is of these rows in one table, in groups as long as there are enough of them.
    fn insert<'r>(
        &mut self,
        statements: &Inserts,
        rows: &[&'r JournalRow],
        bind: impl Fn(&mut Self, &mut Values<'_, '_, 'r>, &'r JournalRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut left = rows;
        for (count, statement) in &**statements {
            if left.len() < *count {
                continue;
            }
            let mut statement = self.connection.prepare_cached(statement)?;
            let mut values = Values::of(&mut statement);
            while let Some((group, rest)) = left.split_at_checked(*count) {
                for row in group {
                    bind(self, &mut values, row)?;
                }
                values.execute()?;
                left = rest;
            }
        }
        Ok(())
    }

    /// Binds a row, which has its number.
    fn bind_row<'r>(
        &mut self,
        values: &mut Values<'_, '_, 'r>,
        row: &'r JournalRow,
    ) -> Result<(), StoreError> {
        self.text.clear();
        if let Some(peer) = row.peer {
            let _ = write!(self.text, "{peer}");
        }
        values.number(Some(row.id))?;
        values.text(Some(row.kind.word()))?;
        values.number(Some(row.open))?;
        values.number(Some(i64::try_from(row.count.0).unwrap_or(i64::MAX)))?;
        values.text(row.request_id.as_deref())?;
        values.text(row.caller_request_id.as_deref())?;
        values.text(row.trace_id.as_deref())?;
        values.text(row.way.as_deref())?;
        values.text(row.access.as_deref())?;
        values.text(row.method.as_deref())?;
        values.text(row.http_method.as_deref())?;
        values.text(row.path.as_deref())?;
        values.passing(row.peer.map(|_| self.text.as_str()))?;
        values.passing(row.client.map(address::to_bytes))?;
        values.outcome(row)?;
        values.number(row.generation)?;
        values.text(row.user_agent.as_deref())?;
        values.text(row.cause.as_deref())?;
        values.text(row.would_refuse.as_deref())?;
        values.text(row.actor.as_deref())
    }

    fn bind_payload<'r>(
        &mut self,
        values: &mut Values<'_, '_, 'r>,
        row: &'r JournalRow,
    ) -> Result<(), StoreError> {
        let JournalPayload {
            destination,
            parameters,
            answer,
        } = &row.payload;
        let destination = destination.as_deref();
        values.number(Some(row.id))?;
        values.passing(destination.map(|text| sql::hashed(self.key, text)))?;
        values.text(parameters.as_deref())?;
        values.text(answer.as_deref())
    }

    /// Closes an open row with its outcome; what was known when it was opened stays. One that has been cleared since stays so.
    fn close(&self, id: i64, row: &JournalRow) -> Result<(), StoreError> {
        let mut close = self.connection.prepare_cached(CLOSE)?;
        let values = &mut Values::of(&mut close);
        values.outcome(row)?;
        values.text(row.cause.as_deref())?;
        values.text(row.would_refuse.as_deref())?;
        values.number(Some(id))?;
        values.execute()?;
        if let Some(answer) = &row.payload.answer {
            let answered = "UPDATE journal_payload SET answer = ? WHERE id = ?";
            let mut answered = self.connection.prepare_cached(answered)?;
            answered.execute((answer, id))?;
        }
        Ok(())
    }

    /// Takes an open row back: nothing of what it speaks of was begun.
    fn withdraw(&self, id: i64) -> Result<(), StoreError> {
        for statement in [
            "DELETE FROM journal WHERE id = ? AND open = 1",
            "DELETE FROM journal_payload WHERE id = ?",
        ] {
            self.connection.prepare_cached(statement)?.execute([id])?;
        }
        Ok(())
    }
}

/// The values of a statement, bound one after the other and executed, and then again: a value that is what it was is not
/// bound once more. Rows are much alike: binding takes half the instructions that it took for all of their thirty values.
struct Values<'s, 'c, 'r> {
    statement: &'s mut CachedStatement<'c>,
    /// What each parameter is; unset where nobody else keeps it.
    held: Vec<Option<ValueRef<'r>>>,
    bound: usize,
}

impl<'s, 'c, 'r> Values<'s, 'c, 'r> {
    /// A statement comes without values, which is NULL for each.
    fn of(statement: &'s mut CachedStatement<'c>) -> Values<'s, 'c, 'r> {
        let held = vec![Some(ValueRef::Null); statement.parameter_count()];
        Values {
            statement,
            held,
            bound: 0,
        }
    }

    fn text(&mut self, text: Option<&'r str>) -> Result<(), StoreError> {
        self.bind(ValueRef::from(text))
    }

    fn number(&mut self, number: Option<impl Into<i64>>) -> Result<(), StoreError> {
        self.bind(number.map_or(ValueRef::Null, |number| ValueRef::Integer(number.into())))
    }

    fn bind(&mut self, value: ValueRef<'r>) -> Result<(), StoreError> {
        let held = &mut self.held[self.bound];
        self.bound += 1;
        if *held == Some(value) {
            return Ok(());
        }
        *held = Some(value);
        let value = ToSqlOutput::Borrowed(value);
        Ok(self.statement.raw_bind_parameter(self.bound, value)?)
    }

    /// Binds what is gone when the next row comes.
    fn passing(&mut self, value: impl ToSql) -> Result<(), StoreError> {
        self.held[self.bound] = None;
        self.bound += 1;
        Ok(self.statement.raw_bind_parameter(self.bound, value)?)
    }

    /// How a request ended, from its status to its limits: the columns that an open row gets when it is closed.
    fn outcome(&mut self, row: &'r JournalRow) -> Result<(), StoreError> {
        self.number(row.status)?;
        self.number(row.canonical)?;
        self.text(row.code.as_deref())?;
        self.text(row.upstream_code.as_deref())?;
        self.text(row.delivery.as_deref())?;
        self.number(row.attempts)?;
        self.number(row.queue_us)?;
        self.number(row.upstream_us)?;
        self.number(row.total_us)?;
        self.text(row.cache.as_deref())?;
        self.text(row.limited_by.as_deref())?;
        self.number(row.limit_max)?;
        self.number(row.limit_left)
    }

    fn execute(&mut self) -> Result<(), StoreError> {
        self.bound = 0;
        self.statement.raw_execute()?;
        Ok(())
    }
}
