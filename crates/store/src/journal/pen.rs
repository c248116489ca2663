//! The connection over which the journal is written, and nothing else. Every request costs a row, and straight over SQLite,
//! with statements that are kept, a row costs a third of what it does through the connection that everything else shares.

use std::fmt::Write;
use std::path::PathBuf;

use aws_lc_rs::hmac;
use rusqlite::{CachedStatement, Connection, OpenFlags, Transaction, TransactionBehavior};

use super::queue::{Entry, Opening};
use super::{JournalPayload, JournalRow, address, first_id_at, sql};
use crate::database::{BUSY_TIMEOUT, WAL_PAGES};
use crate::{Settlement, StoreError, receipts};

/// Pages that the connection keeps in memory, as SQLite writes kibibytes: the ends of all indexes of the journal.
const CACHE_KIB: i32 = -16_384;

/// The columns in the order in which [`Sheet::insert`] binds them.
const INSERT: &str = "INSERT INTO journal (id, kind, open, request_id, trace_id, way, access, method, http_method, path, \
     peer, client, status, canonical, code, upstream_code, delivery, attempts, queue_us, upstream_us, total_us, cache, \
     limited_by, limit_max, limit_left, generation, user_agent, cause, would_refuse, actor) VALUES \
     (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";

const INSERT_PAYLOAD: &str =
    "INSERT INTO journal_payload (id, destination, parameters, answer) VALUES (?, ?, ?, ?)";

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
            let mut sheet = Sheet::new(transaction, &key)?;
            batch.iter_mut().try_for_each(|entry| sheet.write(entry))
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

    fn within(
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

fn open(file: &std::path::Path) -> Result<Connection, StoreError> {
    // One thread at a time has it, so that SQLite need not see to that.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", CACHE_KIB)?;
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

/// One transaction, with the statements that each row needs.
struct Sheet<'c> {
    connection: &'c Connection,
    key: &'c hmac::Key,
    row: CachedStatement<'c>,
    payload: CachedStatement<'c>,
    /// The number of the last row, once there is one.
    last: Option<i64>,
    /// For values that are texts only in the table.
    text: String,
}

impl<'c> Sheet<'c> {
    fn new(connection: &'c Connection, key: &'c hmac::Key) -> Result<Sheet<'c>, StoreError> {
        Ok(Sheet {
            connection,
            key,
            row: connection.prepare_cached(INSERT)?,
            payload: connection.prepare_cached(INSERT_PAYLOAD)?,
            last: None,
            text: String::new(),
        })
    }

    fn write(&mut self, entry: &mut Entry) -> Result<(), StoreError> {
        match entry {
            Entry::Row(row) => {
                row.id = self.next_id(row.at_ms)?;
                self.insert(row)
            }
            Entry::Open(opening) => self.open(opening),
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

    fn open(&mut self, opening: &mut Opening) -> Result<(), StoreError> {
        let id = self.next_id(opening.row.at_ms)?;
        opening.row.id = id;
        if let Some(claim) = &opening.claim {
            opening.known = receipts::claim(self.connection, claim, id)?;
        }
        match opening.known {
            Some(_) => Ok(()),
            None => self.insert(&opening.row),
        }
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

    /// Writes a row, which has its number.
    fn insert(&mut self, row: &JournalRow) -> Result<(), StoreError> {
        self.text.clear();
        let peer = row.peer.map(|peer| write!(self.text, "{peer}"));
        let values = &mut Values::of(&mut self.row);
        values.bind(row.id)?;
        values.bind(row.kind.word())?;
        values.bind(row.open)?;
        values.bind(row.request_id.as_deref())?;
        values.bind(row.trace_id.as_deref())?;
        values.bind(row.way.as_deref())?;
        values.bind(row.access.as_deref())?;
        values.bind(row.method.as_deref())?;
        values.bind(row.http_method.as_deref())?;
        values.bind(row.path.as_deref())?;
        values.bind(peer.is_some().then_some(self.text.as_str()))?;
        values.bind(row.client.map(address::to_bytes))?;
        values.bind(row.status)?;
        values.bind(row.canonical)?;
        values.bind(row.code.as_deref())?;
        values.bind(row.upstream_code.as_deref())?;
        values.bind(row.delivery.as_deref())?;
        values.bind(row.attempts)?;
        values.bind(row.queue_us)?;
        values.bind(row.upstream_us)?;
        values.bind(row.total_us)?;
        values.bind(row.cache.as_deref())?;
        values.bind(row.limited_by.as_deref())?;
        values.bind(row.limit_max)?;
        values.bind(row.limit_left)?;
        values.bind(row.generation)?;
        values.bind(row.user_agent.as_deref())?;
        values.bind(row.cause.as_deref())?;
        values.bind(row.would_refuse.as_deref())?;
        values.bind(row.actor.as_deref())?;
        values.execute()?;
        if row.payload.is_empty() {
            return Ok(());
        }
        self.insert_payload(row.id, &row.payload)
    }

    fn insert_payload(&mut self, id: i64, payload: &JournalPayload) -> Result<(), StoreError> {
        let destination = payload.destination.as_deref();
        let values = &mut Values::of(&mut self.payload);
        values.bind(id)?;
        values.bind(destination.map(|text| sql::hashed(self.key, text)))?;
        values.bind(payload.parameters.as_deref())?;
        values.bind(payload.answer.as_deref())?;
        values.execute()
    }

    /// Closes an open row with its outcome; what was known when it was opened stays. One that has been cleared since stays so.
    fn close(&self, id: i64, row: &JournalRow) -> Result<(), StoreError> {
        let mut close = self.connection.prepare_cached(CLOSE)?;
        let values = &mut Values::of(&mut close);
        values.bind(row.status)?;
        values.bind(row.canonical)?;
        values.bind(row.code.as_deref())?;
        values.bind(row.upstream_code.as_deref())?;
        values.bind(row.delivery.as_deref())?;
        values.bind(row.attempts)?;
        values.bind(row.queue_us)?;
        values.bind(row.upstream_us)?;
        values.bind(row.total_us)?;
        values.bind(row.cache.as_deref())?;
        values.bind(row.limited_by.as_deref())?;
        values.bind(row.limit_max)?;
        values.bind(row.limit_left)?;
        values.bind(row.cause.as_deref())?;
        values.bind(row.would_refuse.as_deref())?;
        values.bind(id)?;
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

/// The values of a statement, bound one after the other.
struct Values<'s, 'c> {
    statement: &'s mut CachedStatement<'c>,
    bound: usize,
}

impl<'s, 'c> Values<'s, 'c> {
    fn of(statement: &'s mut CachedStatement<'c>) -> Values<'s, 'c> {
        Values {
            statement,
            bound: 0,
        }
    }

    fn bind(&mut self, value: impl rusqlite::ToSql) -> Result<(), StoreError> {
        self.bound += 1;
        Ok(self.statement.raw_bind_parameter(self.bound, value)?)
    }

    fn execute(&mut self) -> Result<(), StoreError> {
        self.statement.raw_execute()?;
        Ok(())
    }
}
