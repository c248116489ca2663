//! Receipts: what became of the sends that carried an idempotency key, so that asking again sends nothing again.

use rusqlite::Connection;
use serde::Serialize;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::{Store, StoreError};

/// Receipts taken away in one transaction: a few milliseconds, for which a send may have to wait.
const CLEARED_AT_ONCE: i64 = 1000;

/// What a crash leaves of a send: something may have left, and no answer came.
const BROKEN_OFF: &str = "UPSTREAM_ERROR";

/// The one receipt of a key.
const FIND: &str = "SELECT * FROM receipts WHERE client_id = ? AND method = ? AND key = ?";

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
            .execute(&mut *self.writer().await?)
            .await?;
            if cleared.rows_affected() < CLEARED_AT_ONCE.unsigned_abs() {
                return Ok(());
            }
        }
    }
}

/// Claims a key for the send with this row; the receipt that stands in its way, if there is one.
pub(crate) fn claim(
    connection: &Connection,
    claim: &Claim,
    row: i64,
) -> Result<Option<Receipt>, StoreError> {
    let mut claimed = connection.prepare_cached(
        "INSERT INTO receipts (client_id, method, key, fingerprint, row, request_id, made_at, state)
         VALUES (?, ?, ?, ?, ?, ?, ?, 'open')
         ON CONFLICT (client_id, method, key) DO UPDATE SET fingerprint = excluded.fingerprint, row = excluded.row,
         request_id = excluded.request_id, made_at = excluded.made_at, state = 'open', answer = NULL
         WHERE receipts.made_at < ? AND receipts.state <> 'open'",
    )?;
    let claimed = claimed.execute((
        &claim.client_id,
        claim.method,
        &claim.key,
        &claim.fingerprint[..],
        row,
        &claim.request_id,
        claim.now,
        claim.kept_since,
    ))?;
    if claimed == 1 {
        return Ok(None);
    }
    let mut there = connection.prepare_cached(FIND)?;
    let there = there.query_row((&claim.client_id, claim.method, &claim.key), |row| {
        Ok(Columns {
            method: row.get("method")?,
            state: row.get("state")?,
            request_id: row.get("request_id")?,
            made_at: row.get("made_at")?,
            fingerprint: row.get("fingerprint")?,
            answer: row.get("answer")?,
        })
    })?;
    there.receipt().map(Some)
}

/// Leaves the key of the send with this row as it was settled.
pub(crate) fn settle(
    connection: &Connection,
    row: i64,
    settlement: &Settlement,
) -> Result<(), StoreError> {
    let (state, answer) = match settlement {
        Settlement::Free => {
            let mut free = connection.prepare_cached("DELETE FROM receipts WHERE row = ?")?;
            free.execute([row])?;
            return Ok(());
        }
        Settlement::Sent(result) => ("sent", result.as_str()),
        Settlement::Unknown(code) => ("unknown", *code),
    };
    let settled = "UPDATE receipts SET state = ?, answer = ? WHERE row = ?";
    let mut settled = connection.prepare_cached(settled)?;
    settled.execute((state, answer, row))?;
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
    let row = sqlx::query(FIND)
        .bind(&claim.client_id)
        .bind(claim.method)
        .bind(&claim.key)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(read).transpose()
}

fn read(row: &SqliteRow) -> Result<Receipt, StoreError> {
    let columns = Columns {
        method: row.try_get("method")?,
        state: row.try_get("state")?,
        request_id: row.try_get("request_id")?,
        made_at: row.try_get("made_at")?,
        fingerprint: row.try_get("fingerprint")?,
        answer: row.try_get("answer")?,
    };
    columns.receipt()
}

/// A receipt as it stands in the table, whichever way it was read.
struct Columns {
    method: String,
    state: String,
    request_id: String,
    made_at: i64,
    fingerprint: Vec<u8>,
    answer: Option<String>,
}

impl Columns {
    fn receipt(self) -> Result<Receipt, StoreError> {
        let broken = || StoreError::new("a receipt can't be read");
        Ok(Receipt {
            method: self.method,
            state: match self.state.as_str() {
                "open" => ReceiptState::Open,
                "sent" => ReceiptState::Sent,
                "unknown" => ReceiptState::Unknown,
                _ => return Err(broken()),
            },
            request_id: self.request_id,
            made_at: self.made_at,
            fingerprint: self.fingerprint.try_into().map_err(|_| broken())?,
            answer: self.answer,
        })
    }
}
