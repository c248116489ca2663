//! Writes a batch of the journal in one transaction. Because every request costs a row, statements are cached, rows are written in
//! groups, and a value is only bound if it differs from the previous row.

use std::net::SocketAddr;
use std::sync::LazyLock;

use aws_lc_rs::hmac;
use rusqlite::Connection;

use super::address;
use super::sql::{self, COLUMNS};
use super::values::BoundValues;
use crate::journal::entry::{CountUpdate, JournalEntry};
use crate::journal::row::{destination_hash, first_id_at};
use crate::sqlite::receipts;
use crate::{JournalPayload, JournalRow, Settlement, StoreError};

/// Number of rows in one statement: the statement's cursors stay at the last row, where the next row usually goes. The values of
/// more rows would not fit into the memory that SQLite reserves for a connection.
const GROUP: usize = 4;

/// The columns of a call's content, in the order in which [`Batch::bind_payload`] binds them.
const PAYLOAD_COLUMNS: [&str; 4] = ["id", "destination", "parameters", "answer"];

const CLOSE: &str = "UPDATE journal SET open = 0, status = ?, canonical = ?, code = ?, upstream_code = ?, delivery = ?, \
     attempts = ?, queue_us = ?, upstream_us = ?, total_us = ?, cache = ?, limited_by = ?, limit_max = ?, limit_left = ?, \
     cause = ?, would_refuse = ? WHERE id = ? AND open = 1";

/// Returns the statement that inserts this number of rows. A failure rolls back the whole transaction, which we would do anyway;
/// otherwise SQLite would copy each page before each group.
fn insert_of(table: &str, columns: &[&str], rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns.len()].join(", "));
    let (columns, rows) = (columns.join(", "), vec![row; rows].join(", "));
    format!("INSERT OR ROLLBACK INTO {table} ({columns}) VALUES {rows}")
}

/// The statements for a group and for a single row.
type Inserts = LazyLock<[(usize, String); 2]>;

static INSERT: Inserts =
    LazyLock::new(|| [GROUP, 1].map(|rows| (rows, insert_of("journal", &COLUMNS, rows))));

static INSERT_PAYLOAD: Inserts = LazyLock::new(|| {
    [GROUP, 1].map(|rows| (rows, insert_of("journal_payload", &PAYLOAD_COLUMNS, rows)))
});

/// The transaction of one batch.
pub(super) struct Batch<'c> {
    connection: &'c Connection,
    key: &'c hmac::Key,
    /// The number of the last row, if there is one.
    last: Option<i64>,
    /// The last peer and its text, because the next row usually has the same peer.
    peer: (Option<SocketAddr>, String),
}

impl<'c> Batch<'c> {
    /// Makes a batch in this transaction, with this key for the hashes of destinations and idempotency keys.
    pub(super) fn of(connection: &'c Connection, key: &'c hmac::Key) -> Batch<'c> {
        Batch {
            connection,
            key,
            last: None,
            peer: (None, String::new()),
        }
    }

    /// Writes the entries in their order, and gives each row its number.
    ///
    /// # Errors
    /// When the store can't be written. The transaction must then be rolled back.
    pub(super) fn write(&mut self, batch: &mut [JournalEntry]) -> Result<(), StoreError> {
        batch.iter_mut().try_for_each(|entry| self.prepare(entry))?;
        let rows: Vec<&JournalRow> = batch.iter().filter_map(JournalEntry::new_row).collect();
        self.insert(&INSERT, &rows, Batch::bind_row)?;
        let payloads = rows.into_iter().filter(|row| !row.payload.is_empty());
        let payloads: Vec<_> = payloads.collect();
        self.insert(&INSERT_PAYLOAD, &payloads, Batch::bind_payload)
    }

    /// Gives a new row its number, and writes everything except new rows.
    fn prepare(&mut self, entry: &mut JournalEntry) -> Result<(), StoreError> {
        match entry {
            JournalEntry::Row(row) => {
                row.id = self.next_id(row.at_ms)?;
                Ok(())
            }
            JournalEntry::Counted(update) => self.count(update),
            JournalEntry::Open(opening) => {
                let id = self.next_id(opening.row.at_ms)?;
                opening.row.id = id;
                if let Some(claim) = &opening.claim {
                    opening.obstacle = receipts::claim(self.connection, self.key, claim, id)?;
                }
                Ok(())
            }
            JournalEntry::Close(id, closing) => {
                self.close(*id, &closing.row)?;
                match &closing.settlement {
                    Some(settlement) => receipts::settle(self.connection, *id, settlement),
                    None => Ok(()),
                }
            }
            JournalEntry::Withdraw(id) => {
                self.withdraw(*id)?;
                receipts::settle(self.connection, *id, &Settlement::Free)
            }
            JournalEntry::Flush(_) => Ok(()),
        }
    }

    /// Makes the row of a count, or updates the count of the row that was written before.
    fn count(&mut self, update: &mut CountUpdate) -> Result<(), StoreError> {
        update.calls = update.counted.calls();
        let Some(id) = update.counted.id() else {
            let at_ms = update.counted.row().map_or(0, |row| row.at_ms);
            let id = self.next_id(at_ms)?;
            update.begin(id);
            return Ok(());
        };
        update.id = id;
        update.row = None;
        let calls = i64::try_from(update.calls).unwrap_or(i64::MAX);
        let update = "UPDATE journal SET count = ? WHERE id = ?";
        self.connection
            .prepare_cached(update)?
            .execute([calls, id])?;
        Ok(())
    }

    /// Returns the next row's number for this time.
    fn next_id(&mut self, at_ms: i64) -> Result<i64, StoreError> {
        let id = match self.last {
            Some(last) => first_id_at(at_ms).max(last + 1),
            None => sql::next_id(self.connection, at_ms)?,
        };
        self.last = Some(id);
        Ok(id)
    }

    /// Inserts these rows into one table, in groups while enough rows remain.
    fn insert<'r>(
        &mut self,
        statements: &Inserts,
        rows: &[&'r JournalRow],
        bind: impl Fn(&mut Self, &mut BoundValues<'_, '_, 'r>, &'r JournalRow) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut left = rows;
        for (count, statement) in &**statements {
            if left.len() < *count {
                continue;
            }
            let mut statement = self.connection.prepare_cached(statement)?;
            let mut values = BoundValues::of(&mut statement);
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

    /// Binds a row that has its number.
    fn bind_row<'r>(
        &mut self,
        values: &mut BoundValues<'_, '_, 'r>,
        row: &'r JournalRow,
    ) -> Result<(), StoreError> {
        if let Some(peer) = row.peer.filter(|peer| self.peer.0 != Some(*peer)) {
            self.peer = (Some(peer), peer.to_string());
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
        values.passing(row.peer.map(|_| self.peer.1.as_str()))?;
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
        values: &mut BoundValues<'_, '_, 'r>,
        row: &'r JournalRow,
    ) -> Result<(), StoreError> {
        let JournalPayload {
            destination,
            parameters,
            answer,
        } = &row.payload;
        let destination = destination.as_deref();
        values.number(Some(row.id))?;
        values.passing(destination.map(|text| destination_hash(self.key, text)))?;
        values.text(parameters.as_deref())?;
        values.text(answer.as_deref())
    }

    /// Closes an open row with its outcome; the values from its opening stay. A row that has been cleared in the meantime is not
    /// created again.
    fn close(&self, id: i64, row: &JournalRow) -> Result<(), StoreError> {
        let mut close = self.connection.prepare_cached(CLOSE)?;
        let values = &mut BoundValues::of(&mut close);
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

    /// Removes an open row, because its send was not begun.
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

/// Makes a write that changes nothing, to test whether the store can be written.
///
/// # Errors
/// When the store can't be written.
pub(super) fn try_writing(connection: &Connection) -> Result<(), StoreError> {
    let nothing = "UPDATE keys SET created_at = created_at WHERE purpose = 'journal'";
    connection.prepare_cached(nothing)?.execute([])?;
    Ok(())
}
