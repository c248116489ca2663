//! Reads whole tables, for a copy into another engine.

use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde_json::{Map, Value};
use tokio::sync::mpsc::Sender;

use super::journal::address_from_bytes;
use super::store::SqliteStore;
use crate::StoreError;

/// Maximum number of rows in one batch, usually a few hundred kilobytes.
const BATCH_ROWS: usize = 500;

/// Maximum number of bytes in one batch before its last row. One answer may have 256 KiB.
const BATCH_BYTES: usize = 4 * 1024 * 1024;

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
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while let Some(row) = rows.next()? {
                batch.push(object(row, &names)?);
                bytes += bytes_of(row, names.len())?;
                if batch.len() == BATCH_ROWS || bytes > BATCH_BYTES {
                    send(&batches, &mut batch)?;
                    bytes = 0;
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

/// Returns the size of a row's texts and bytes.
fn bytes_of(row: &Row<'_>, columns: usize) -> Result<usize, StoreError> {
    let mut bytes = 0;
    for at in 0..columns {
        if let ValueRef::Text(of_column) | ValueRef::Blob(of_column) = row.get_ref(at)? {
            bytes += of_column.len();
        }
    }
    Ok(bytes)
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

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc::channel;

    use super::BATCH_BYTES;
    use crate::Store;

    #[tokio::test]
    async fn long_rows_are_copied_in_batches_of_bounded_size() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chatgate.db");
        let store = Store::open(&file).await.unwrap();
        let (rows, answer_bytes) = (100_u32, 256 * 1024);
        let add = move |transaction: &rusqlite::Transaction<'_>| {
            let add = "INSERT INTO journal_payload (id, answer) VALUES (?, ?)";
            let answer = "x".repeat(answer_bytes);
            for id in 1..=rows {
                transaction.execute(add, (id, &answer))?;
            }
            Ok(())
        };
        store.sqlite().write(add).await.unwrap();
        let (sender, mut batches) = channel::<serde_json::Value>(1);
        let table = ("journal_payload", "id, answer", "id, answer");
        let copied = async {
            let mut copied = 0;
            while let Some(batch) = batches.recv().await {
                let bytes = batch.to_string().len();
                assert!(bytes < BATCH_BYTES + 2 * answer_bytes, "{bytes}");
                copied += batch.as_array().unwrap().len();
            }
            copied
        };
        let (sent, copied) = tokio::join!(store.sqlite().send_rows(table, sender), copied);
        sent.unwrap();
        assert_eq!(copied, rows as usize);
    }
}
