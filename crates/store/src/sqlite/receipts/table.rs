//! The table of receipts: claims, settles and finds keys.

use aws_lc_rs::hmac;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row};

use super::room::make_room;
use crate::receipts::BROKEN_OFF;
use crate::{Claim, Obstacle, Receipt, ReceiptState, Settlement, StoreError};

/// Claims a key for the send with this row. Returns the obstacle, if there is one.
pub(crate) fn claim(
    connection: &Connection,
    secret: &hmac::Key,
    claim: &Claim,
    row: i64,
) -> Result<Option<Obstacle>, StoreError> {
    let key = claim.hashed_key(secret);
    if let Some(receipts_full) = make_room(connection, claim)? {
        // A known key gets its old answer even if there is no room.
        let known = find(connection, claim, &key)?.filter(|receipt| claim.counts(receipt));
        return Ok(Some(
            known.map_or(Obstacle::ReceiptsFull(receipts_full), Obstacle::Known),
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
    let known = known.ok_or_else(|| StoreError::new("an existing receipt can't be found"))?;
    Ok(Some(Obstacle::Known(known)))
}

/// Returns the receipt for a claim's key, if there is one.
pub(super) fn find(
    connection: &Connection,
    claim: &Claim,
    key: &[u8],
) -> Result<Option<Receipt>, StoreError> {
    let mut receipts = connection.prepare_cached(
        "SELECT method, state, request_id, made_at, fingerprint, answer FROM receipts
         WHERE client_id = ? AND method = ? AND key = ?",
    )?;
    let receipt = receipts.query_row((&claim.client_id, claim.method, key), read);
    Ok(receipt.optional()?)
}

/// Returns the receipts for a key, for all methods.
pub(super) fn find_all(
    connection: &Connection,
    client_id: &str,
    key: &[u8],
) -> Result<Vec<Receipt>, StoreError> {
    let mut receipts = connection.prepare_cached(
        "SELECT method, state, request_id, made_at, fingerprint, answer FROM receipts
         WHERE client_id = ? AND key = ? ORDER BY method",
    )?;
    let receipts = receipts.query_map((client_id, key), read)?;
    Ok(receipts.collect::<Result<_, _>>()?)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Receipt> {
    Ok(Receipt {
        method: row.get("method")?,
        state: row.get("state")?,
        request_id: row.get("request_id")?,
        made_at: row.get("made_at")?,
        fingerprint: row.get("fingerprint")?,
        answer: row.get("answer")?,
    })
}

impl FromSql for ReceiptState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<ReceiptState> {
        ReceiptState::from_word(value.as_str()?).ok_or(FromSqlError::InvalidType)
    }
}

/// Applies the settlement to the key of the send with this row.
pub(crate) fn settle(
    connection: &Connection,
    row: i64,
    settlement: &Settlement,
) -> Result<(), StoreError> {
    let Some((state, answer)) = settlement.kept() else {
        let mut free = connection.prepare_cached("DELETE FROM receipts WHERE row = ?")?;
        free.execute([row])?;
        return Ok(());
    };
    let settled = "UPDATE receipts SET state = ?, answer = ? WHERE row = ?";
    let mut settled = connection.prepare_cached(settled)?;
    settled.execute((state, answer, row))?;
    Ok(())
}

/// Closes the receipts that an earlier process left open. They are found by the open rows of the journal, because these are few and
/// receipts are many.
pub(crate) fn close_left_open(connection: &Connection) -> Result<(), StoreError> {
    connection.execute(
        "UPDATE receipts SET state = 'unknown', answer = ?
         WHERE state = 'open' AND row IN (SELECT id FROM journal WHERE open = 1)",
        [BROKEN_OFF],
    )?;
    Ok(())
}
