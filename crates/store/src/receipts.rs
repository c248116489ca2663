//! Receipts: what became of the sends that carried an idempotency key, so that asking again sends nothing again. They are kept
//! under a keyed hash of the key, which may hold anything, and in room of their own (`receipts/room.rs`).

mod moving;
mod room;

use aws_lc_rs::hmac;
use rusqlite::{Connection, OptionalExtension};
use serde::Serialize;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::{Store, StoreError};

pub(crate) use moving::move_receipts;
pub use room::{NoRoom, RECEIPT_ANSWER_BYTES_MAX, ReceiptRoom};

/// Receipts taken away in one transaction: a few milliseconds, for which a send may have to wait.
const CLEARED_AT_ONCE: i64 = 1000;

/// What a crash leaves of a send: something may have left, and no answer came.
const BROKEN_OFF: &str = "UPSTREAM_ERROR";

/// The result of a send whose own is too long to be kept.
const NO_RESULT: &str = "{}";

/// Bytes of the hash of a key that are kept: enough that no two keys of a gateway share one.
const KEY_BYTES: usize = 16;

/// The one receipt of a key.
const FIND: &str = "SELECT method, state, request_id, made_at, fingerprint, answer FROM receipts \
     WHERE client_id = ? AND method = ? AND key = ?";

/// The receipts of a key, whatever the method.
const FIND_ALL: &str = "SELECT method, state, request_id, made_at, fingerprint, answer FROM receipts \
     WHERE client_id = ? AND key = ? ORDER BY method";

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
    /// The room that receipts may take.
    pub room: ReceiptRoom,
}

/// What stands in the way of a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The key was claimed before.
    Known(Receipt),
    /// There is no room for another receipt.
    NoRoom(NoRoom),
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
    /// What stands in the way of a claim, without making it: a receipt that still counts, or want of room.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn obstacle(&self, claim: &Claim) -> Result<Option<Obstacle>, StoreError> {
        let row = sqlx::query(FIND)
            .bind(&claim.client_id)
            .bind(claim.method)
            .bind(claim.hashed(self.journal_key()))
            .fetch_optional(self.reader())
            .await?;
        let receipt = row.as_ref().map(read).transpose()?;
        match receipt.filter(|receipt| receipt.made_at >= claim.kept_since) {
            Some(receipt) => Ok(Some(Obstacle::Known(receipt))),
            None => Ok(self.no_room(claim).await?.map(Obstacle::NoRoom)),
        }
    }

    /// The receipts of one key of an access, one for each method that it was used with.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn receipts(&self, client_id: &str, key: &str) -> Result<Vec<Receipt>, StoreError> {
        let rows = sqlx::query(FIND_ALL)
            .bind(client_id)
            .bind(hashed(self.journal_key(), client_id, key))
            .fetch_all(self.reader())
            .await?;
        rows.iter().map(read).collect()
    }

    /// Takes away the receipts that were made before this; seconds since 1970, UTC. Those of an access that is gone stay as
    /// long: it may come back by an import, and what was sent must not be sent again.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn clear_receipts(&self, before: i64) -> Result<(), StoreError> {
        let clients = sqlx::query("SELECT client_id FROM receipt_room WHERE client_id <> ''")
            .fetch_all(self.reader())
            .await?;
        for client in &clients {
            while self
                .clear_some(client.try_get("client_id")?, before)
                .await?
            {}
        }
        Ok(())
    }

    /// Takes away as many of one access as go at once; says whether there may be more.
    async fn clear_some(&self, client_id: &str, before: i64) -> Result<bool, StoreError> {
        let cleared = sqlx::query(
            "DELETE FROM receipts WHERE row IN (SELECT row FROM receipts
             WHERE client_id = ? AND made_at < ? AND state <> 'open' LIMIT ?)",
        )
        .bind(client_id)
        .bind(before)
        .bind(CLEARED_AT_ONCE)
        .execute(&mut *self.writer().await?)
        .await?;
        Ok(cleared.rows_affected() == CLEARED_AT_ONCE.unsigned_abs())
    }
}

impl Claim {
    fn hashed(&self, secret: &hmac::Key) -> Vec<u8> {
        hashed(secret, &self.client_id, &self.key)
    }
}

/// Under which a key of an access is kept and found again.
fn hashed(secret: &hmac::Key, client_id: &str, key: &str) -> Vec<u8> {
    let mut context = hmac::Context::with_key(secret);
    // The zero stands in neither, so that no two of them are one text, and no destination is hashed so.
    for part in ["receipt", "\0", client_id, "\0", key] {
        context.update(part.as_bytes());
    }
    context.sign().as_ref()[..KEY_BYTES].to_vec()
}

/// Claims a key for the send with this row; what stands in its way, if anything does.
pub(crate) fn claim(
    connection: &Connection,
    secret: &hmac::Key,
    claim: &Claim,
    row: i64,
) -> Result<Option<Obstacle>, StoreError> {
    let key = claim.hashed(secret);
    if let Some(no_room) = room::no_room(connection, claim)? {
        // What is known is told again, room or not.
        let known = find(connection, claim, &key)?.filter(|receipt| {
            receipt.made_at >= claim.kept_since || receipt.state == ReceiptState::Open
        });
        return Ok(Some(
            known.map_or(Obstacle::NoRoom(no_room), Obstacle::Known),
        ));
    }
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
        &key,
        &claim.fingerprint[..],
        row,
        &claim.request_id,
        claim.now,
        claim.kept_since,
    ))?;
    if claimed == 1 {
        return Ok(None);
    }
    let known = find(connection, claim, &key)?;
    let known = known.ok_or_else(|| StoreError::new("a receipt that is there can't be found"))?;
    Ok(Some(Obstacle::Known(known)))
}

fn find(connection: &Connection, claim: &Claim, key: &[u8]) -> Result<Option<Receipt>, StoreError> {
    let mut there = connection.prepare_cached(FIND)?;
    let there = there.query_row((&claim.client_id, claim.method, key), |row| {
        Ok(Columns {
            method: row.get("method")?,
            state: row.get("state")?,
            request_id: row.get("request_id")?,
            made_at: row.get("made_at")?,
            fingerprint: row.get("fingerprint")?,
            answer: row.get("answer")?,
        })
    });
    there.optional()?.map(Columns::receipt).transpose()
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
        Settlement::Sent(result) if result.len() > RECEIPT_ANSWER_BYTES_MAX => ("sent", NO_RESULT),
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

#[cfg(test)]
mod tests;
