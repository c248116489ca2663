//! Receipts that an earlier version kept under their keys, moved under keyed hashes at the first start after it.

use aws_lc_rs::hmac;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row};

use super::hashed;
use crate::StoreError;

/// Receipts moved in one transaction: few enough to hold in memory, with answers of any length.
const MOVED_AT_ONCE: i64 = 1000;

/// Moves what is left of them, and drops their table. Begun anew by the next start should this one end in between.
///
/// # Errors
/// When the store can't be written.
pub(crate) async fn move_receipts(
    connection: &mut SqliteConnection,
    secret: &hmac::Key,
) -> Result<(), StoreError> {
    let there = "SELECT count(*) FROM sqlite_schema WHERE name = 'receipts_with_keys'";
    let there: i64 = sqlx::query(there)
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
    if there == 0 {
        return Ok(());
    }
    while move_some(connection, secret).await? {}
    sqlx::query("DROP TABLE receipts_with_keys")
        .execute(connection)
        .await?;
    Ok(())
}

async fn move_some(
    connection: &mut SqliteConnection,
    secret: &hmac::Key,
) -> Result<bool, StoreError> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    let some = sqlx::query("SELECT client_id, method, key, row FROM receipts_with_keys LIMIT ?")
        .bind(MOVED_AT_ONCE)
        .fetch_all(&mut *transaction)
        .await?;
    for old in &some {
        let (client_id, key): (&str, &str) = (old.try_get("client_id")?, old.try_get("key")?);
        sqlx::query(
            "INSERT INTO receipts (client_id, method, key, fingerprint, row, request_id, made_at, state, answer)
             SELECT client_id, method, ?, fingerprint, row, request_id, made_at, state,
             CASE WHEN state = 'sent' AND octet_length(answer) > ? THEN '{}' ELSE answer END
             FROM receipts_with_keys WHERE client_id = ? AND method = ? AND key = ?",
        )
        .bind(hashed(secret, client_id, key))
        .bind(super::RECEIPT_ANSWER_BYTES_MAX as i64)
        .bind(client_id)
        .bind(old.try_get::<&str, _>("method")?)
        .bind(key)
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "DELETE FROM receipts_with_keys WHERE client_id = ? AND method = ? AND key = ?",
        )
        .bind(client_id)
        .bind(old.try_get::<&str, _>("method")?)
        .bind(key)
        .execute(&mut *transaction)
        .await?;
    }
    transaction.commit().await?;
    Ok(!some.is_empty())
}
