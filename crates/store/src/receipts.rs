//! Receipts: what became of the sends that carried an idempotency key, so that asking again sends nothing again.

use serde::Serialize;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::{Store, StoreError};

/// Receipts taken away in one transaction: a few milliseconds, for which a send may have to wait.
const CLEARED_AT_ONCE: i64 = 1000;

/// What a crash leaves of a send: something may have left, and no answer came.
const BROKEN_OFF: &str = "UPSTREAM_ERROR";

/// A key that a send claims for itself.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The client id of the access.
    pub client_id: String,
    /// The operation.
    pub method: &'static str,
    /// The key as the caller gave it.
    pub key: String,
    /// SHA-256 of the canonical request.
    pub fingerprint: [u8; 32],
    /// The id of the request that carries it.
    pub request_id: String,
    /// Now, in seconds since 1970, UTC.
    pub now: i64,
    /// Receipts made before this are of no account any more; likewise.
    pub kept_since: i64,
}

/// What became of a send, and what its caller was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Receipt {
    /// The operation.
    pub method: String,
    /// How far it has come.
    pub state: ReceiptState,
    /// Of the first request with this key.
    pub request_id: String,
    /// When it was made; seconds since 1970, UTC.
    #[serde(skip)]
    pub made_at: i64,
    /// SHA-256 of the canonical request.
    #[serde(skip)]
    pub fingerprint: [u8; 32],
    /// The result as JSON text where something was sent, the code where nobody knows; none while it is under way.
    #[serde(skip)]
    pub answer: Option<String>,
}

/// How far a send has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptState {
    /// It is under way.
    Open,
    /// The upstream has taken it.
    Sent,
    /// Nobody knows.
    Unknown,
}

/// How a claimed key is left.
#[derive(Clone, Debug)]
pub enum Settlement {
    /// The upstream has taken it, with this result as JSON text.
    Sent(String),
    /// Nobody knows; the caller was told this code.
    Unknown(&'static str),
    /// Nothing was sent: the key is free again.
    Free,
}

impl Store {
    /// The receipt of a key, if there is one that still counts.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn receipt(&self, claim: &Claim) -> Result<Option<Receipt>, StoreError> {
        let mut connection = self.reader().acquire().await?;
        let receipt = find(&mut connection, claim).await?;
        Ok(receipt.filter(|receipt| receipt.made_at >= claim.kept_since))
    }

    /// The receipts of one key of an access, one for each method that it was used with.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn receipts(&self, client_id: &str, key: &str) -> Result<Vec<Receipt>, StoreError> {
        let rows =
            sqlx::query("SELECT * FROM receipts WHERE client_id = ? AND key = ? ORDER BY method")
                .bind(client_id)
                .bind(key)
                .fetch_all(self.reader())
                .await?;
        rows.iter().map(read).collect()
    }

    /// Takes away the receipts that were made before this; seconds since 1970, UTC.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn clear_receipts(&self, before: i64) -> Result<(), StoreError> {
        loop {
            let cleared = sqlx::query(
                "DELETE FROM receipts WHERE row IN
                 (SELECT row FROM receipts WHERE made_at < ? AND state <> 'open' LIMIT ?)",
            )
            .bind(before)
            .bind(CLEARED_AT_ONCE)
            .execute(self.writer())
            .await?;
            if cleared.rows_affected() < CLEARED_AT_ONCE.unsigned_abs() {
                return Ok(());
            }
        }
    }
}

/// Claims a key for the send with this row; the receipt that stands in its way, if there is one.
pub(crate) async fn claim(
    connection: &mut SqliteConnection,
    claim: &Claim,
    row: i64,
) -> Result<Option<Receipt>, StoreError> {
    let claimed = sqlx::query(
        "INSERT INTO receipts (client_id, method, key, fingerprint, row, request_id, made_at, state)
         VALUES (?, ?, ?, ?, ?, ?, ?, 'open')
         ON CONFLICT (client_id, method, key) DO UPDATE SET fingerprint = excluded.fingerprint, row = excluded.row,
         request_id = excluded.request_id, made_at = excluded.made_at, state = 'open', answer = NULL
         WHERE receipts.made_at < ? AND receipts.state <> 'open'",
    )
    .bind(&claim.client_id)
    .bind(claim.method)
    .bind(&claim.key)
    .bind(&claim.fingerprint[..])
    .bind(row)
    .bind(&claim.request_id)
    .bind(claim.now)
    .bind(claim.kept_since)
    .execute(&mut *connection)
    .await?;
    if claimed.rows_affected() == 1 {
        return Ok(None);
    }
    let there = find(connection, claim).await?;
    there
        .map(Some)
        .ok_or_else(|| StoreError::new("a receipt was neither made nor found"))
}

/// Leaves the key of the send with this row as it was settled.
pub(crate) async fn settle(
    connection: &mut SqliteConnection,
    row: i64,
    settlement: &Settlement,
) -> Result<(), StoreError> {
    let (state, answer) = match settlement {
        Settlement::Free => {
            let free = sqlx::query("DELETE FROM receipts WHERE row = ?").bind(row);
            free.execute(connection).await?;
            return Ok(());
        }
        Settlement::Sent(result) => ("sent", result.as_str()),
        Settlement::Unknown(code) => ("unknown", *code),
    };
    sqlx::query("UPDATE receipts SET state = ?, answer = ? WHERE row = ?")
        .bind(state)
        .bind(answer)
        .bind(row)
        .execute(connection)
        .await?;
    Ok(())
}

/// What an earlier process has left open.
pub(crate) async fn close_left_open(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("UPDATE receipts SET state = 'unknown', answer = ? WHERE state = 'open'")
        .bind(BROKEN_OFF)
        .execute(connection)
        .await?;
    Ok(())
}

async fn find(
    connection: &mut SqliteConnection,
    claim: &Claim,
) -> Result<Option<Receipt>, StoreError> {
    let row = sqlx::query("SELECT * FROM receipts WHERE client_id = ? AND method = ? AND key = ?")
        .bind(&claim.client_id)
        .bind(claim.method)
        .bind(&claim.key)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &SqliteRow) -> Result<Receipt, StoreError> {
    let broken = || StoreError::new("a receipt can't be read");
    let (state, fingerprint): (String, Vec<u8>) =
        (row.try_get("state")?, row.try_get("fingerprint")?);
    Ok(Receipt {
        method: row.try_get("method")?,
        state: match state.as_str() {
            "open" => ReceiptState::Open,
            "sent" => ReceiptState::Sent,
            "unknown" => ReceiptState::Unknown,
            _ => return Err(broken()),
        },
        request_id: row.try_get("request_id")?,
        made_at: row.try_get("made_at")?,
        fingerprint: fingerprint.try_into().map_err(|_| broken())?,
        answer: row.try_get("answer")?,
    })
}
