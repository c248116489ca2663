//! Moves receipts that an earlier version stored under their plain keys to keyed hashes, at the first start after the update.

use aws_lc_rs::hmac;
use rusqlite::{Connection, Transaction};

use crate::receipts::hash_of;
use crate::sqlite::connection::in_transaction;
use crate::{RECEIPT_ANSWER_BYTES_MAX, StoreError};

/// Number of receipts moved in one transaction: few enough to hold them in memory, with answers of any length.
const MOVED_PER_BATCH: i64 = 1000;

/// Moves the remaining receipts, and drops their old table. If the process ends before that, the next start continues.
///
/// # Errors
/// When the store can't be written.
pub(crate) fn move_receipts(
    connection: &mut Connection,
    secret: &hmac::Key,
) -> Result<(), StoreError> {
    if !connection.table_exists(None, "receipts_with_keys")? {
        return Ok(());
    }
    while in_transaction(connection, |transaction| move_batch(transaction, secret))? {}
    connection.execute("DROP TABLE receipts_with_keys", [])?;
    Ok(())
}

/// Moves one batch of receipts. Returns whether there were any.
fn move_batch(transaction: &Transaction<'_>, secret: &hmac::Key) -> Result<bool, StoreError> {
    let some = "SELECT client_id, method, key FROM receipts_with_keys LIMIT ?";
    let mut some = transaction.prepare(some)?;
    let some = some.query_map([MOVED_PER_BATCH], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })?;
    let some: Vec<(String, String, String)> = some.collect::<Result<_, _>>()?;
    let mut insert = transaction.prepare(
        "INSERT INTO receipts (client_id, method, key, fingerprint, row, request_id, made_at, state, answer)
         SELECT client_id, method, ?, fingerprint, row, request_id, made_at, state,
         CASE WHEN state = 'sent' AND octet_length(answer) > ? THEN '{}' ELSE answer END
         FROM receipts_with_keys WHERE client_id = ? AND method = ? AND key = ?",
    )?;
    let mut delete = transaction
        .prepare("DELETE FROM receipts_with_keys WHERE client_id = ? AND method = ? AND key = ?")?;
    for (client_id, method, key) in &some {
        let hash = hash_of(secret, client_id, key);
        insert.execute((
            hash,
            RECEIPT_ANSWER_BYTES_MAX as i64,
            client_id,
            method,
            key,
        ))?;
        delete.execute((client_id, method, key))?;
    }
    Ok(!some.is_empty())
}
