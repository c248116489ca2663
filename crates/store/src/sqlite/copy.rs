//! Reads whole tables, for a copy into another engine.

use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde_json::{Map, Value};
use tokio::sync::mpsc::Sender;

use super::journal::address_from_bytes;
use super::store::SqliteStore;
use crate::StoreError;

/// Number of rows in one batch: a few hundred kilobytes.
const BATCH_ROWS: usize = 500;

/// The column whose bytes represent an address.
const ADDRESS: &str = "client";

impl SqliteStore {
    /// Reads all rows of a table and sends them as arrays of JSON objects, whose members have the names of the columns. Bytes have
    /// PostgreSQL's notation, and addresses are texts.
    ///
    /// # Errors
    /// When the table can't be read, or the receiver has been dropped.
    pub(crate) async fn send_rows(
        &self,
        (table, columns, values): (&'static str, &'static str, &'static str),
        batches: Sender<Value>,
    ) -> Result<(), StoreError> {
        self.read(move |connection| {
            let mut rows = connection.prepare(&format!("SELECT {values} FROM {table}"))?;
            let mut rows = rows.query([])?;
            let names: Vec<&str> = columns
                .split(", ")
                .map(|name| name.trim_matches('"'))
                .collect();
            let mut batch = Vec::new();
            while let Some(row) = rows.next()? {
                batch.push(object(row, &names)?);
                if batch.len() == BATCH_ROWS {
                    send(&batches, &mut batch)?;
                }
            }
            send(&batches, &mut batch)
        })
        .await
    }

    /// Returns the numbers of the oldest and the newest row of the journal, if it has rows.
    ///
    /// # Errors
    /// When the numbers can't be read.
    pub(crate) async fn journal_ends(&self) -> Result<Option<(i64, i64)>, StoreError> {
        self.read(|connection| {
            let ends = "SELECT min(id) AS oldest, max(id) AS newest FROM journal";
            let ends = connection.query_row(ends, [], |row| {
                Ok((
                    row.get::<_, Option<_>>("oldest")?,
                    row.get::<_, Option<_>>("newest")?,
                ))
            })?;
            Ok(ends.0.zip(ends.1))
        })
        .await
    }
}

fn send(batches: &Sender<Value>, batch: &mut Vec<Value>) -> Result<(), StoreError> {
    let rows = Value::Array(std::mem::take(batch));
    let sent = batches.blocking_send(rows);
    sent.map_err(|_| StoreError::new("the copy was abandoned"))
}

fn object(row: &Row<'_>, names: &[&str]) -> Result<Value, StoreError> {
    let mut object = Map::new();
    for (at, name) in names.iter().enumerate() {
        let value = match row.get_ref(at)? {
            ValueRef::Null => continue,
            ValueRef::Integer(number) => number.into(),
            ValueRef::Real(number) => number.into(),
            // PostgreSQL does not allow a zero byte in a text.
            ValueRef::Text(text) => String::from_utf8_lossy(text)
                .replace('\0', "\u{fffd}")
                .into(),
            ValueRef::Blob(bytes) if *name == ADDRESS => {
                let address = address_from_bytes(bytes);
                let address =
                    address.ok_or_else(|| StoreError::new("a row has an unreadable address"))?;
                address.to_string().into()
            }
            ValueRef::Blob(bytes) => {
                let hex = bytes.iter().map(|byte| format!("{byte:02x}"));
                format!("\\x{}", hex.collect::<String>()).into()
            }
        };
        object.insert((*name).to_owned(), value);
    }
    Ok(Value::Object(object))
}
