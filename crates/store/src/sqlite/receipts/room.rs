//! The room that receipts may take: a limit for each access, and a limit for all accesses together. Triggers of the store
//! (migration 8) count the occupied room in the same transaction as each change.

use rusqlite::{Connection, OptionalExtension};

use crate::{Claim, ReceiptsFull, StoreError};

/// Number of receipts deleted in one transaction: a few milliseconds, for which a send may have to wait.
const DELETED_PER_BATCH: usize = 1000;

/// Returns the reason why the claim's receipt has no room, if it has none. First makes room by deleting expired receipts of the
/// same access.
pub(super) fn make_room(
    connection: &Connection,
    claim: &Claim,
) -> Result<Option<ReceiptsFull>, StoreError> {
    let refused = refused_now(connection, claim)?;
    let (client, kept_since) = (&claim.client_id, claim.kept_since);
    if refused.is_none() || clear_batch(connection, (client, kept_since), DELETED_PER_BATCH)? == 0 {
        return Ok(refused);
    }
    refused_now(connection, claim)
}

/// Returns the reason why a claim would find no room, without writing anything. `None` if expired receipts of the access still
/// exist, because then only a write can decide.
pub(super) fn receipts_full(
    connection: &Connection,
    claim: &Claim,
) -> Result<Option<ReceiptsFull>, StoreError> {
    let refused = refused_now(connection, claim)?;
    let is_expired = |made_at| made_at < claim.kept_since;
    if refused.is_some() && oldest(connection, claim)?.is_some_and(is_expired) {
        return Ok(None);
    }
    Ok(refused)
}

fn refused_now(connection: &Connection, claim: &Claim) -> Result<Option<ReceiptsFull>, StoreError> {
    let taken = taken_for(connection, claim)?;
    if claim.refused(taken, None).is_none() {
        return Ok(None);
    }
    Ok(claim.refused(taken, oldest(connection, claim)?))
}

/// Returns the room that the receipts of the claim's access take, and the room that all receipts take, in bytes.
fn taken_for(connection: &Connection, claim: &Claim) -> Result<(i64, i64), StoreError> {
    let (own, all) = (taken(connection, &claim.client_id)?, taken(connection, "")?);
    Ok((own.1, all.1))
}

/// Returns the number of receipts of an access, given by client id, and their size in bytes; those of all accesses for an empty
/// client id.
pub(super) fn taken(connection: &Connection, client_id: &str) -> Result<(i64, i64), StoreError> {
    let taken = "SELECT receipts, bytes FROM receipt_room WHERE client_id = ?";
    let mut taken = connection.prepare_cached(taken)?;
    let taken = taken.query_row([client_id], |row| Ok((row.get(0)?, row.get(1)?)));
    Ok(taken.optional()?.unwrap_or_default())
}

fn oldest(connection: &Connection, claim: &Claim) -> Result<Option<i64>, StoreError> {
    let oldest = "SELECT min(made_at) FROM receipts WHERE client_id = ?";
    let mut oldest = connection.prepare_cached(oldest)?;
    Ok(oldest.query_row([&claim.client_id], |row| row.get(0))?)
}

/// Deletes at most this number of receipts of an access that were made before this time. Returns the number of deleted receipts.
pub(super) fn clear_batch(
    connection: &Connection,
    (client_id, before): (&str, i64),
    count_max: usize,
) -> Result<usize, StoreError> {
    let mut clear = connection.prepare_cached(
        "DELETE FROM receipts WHERE row IN (SELECT row FROM receipts
         WHERE client_id = ? AND made_at < ? AND state <> 'open' LIMIT ?)",
    )?;
    Ok(clear.execute((client_id, before, count_max as i64))?)
}

/// Deletes one batch of these accesses' receipts that were made before this time. Returns whether there may be more.
pub(super) fn clear_batch_of_all(
    connection: &Connection,
    clients: &[String],
    before: i64,
) -> Result<bool, StoreError> {
    let mut left = DELETED_PER_BATCH;
    for client in clients {
        left -= clear_batch(connection, (client, before), left)?;
        if left == 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the client ids of accesses with receipts that were made before this time.
pub(super) fn clients_to_clear(
    connection: &Connection,
    before: i64,
) -> Result<Vec<String>, StoreError> {
    let mut clients = connection.prepare_cached(
        "SELECT client_id FROM receipt_room WHERE client_id <> '' AND EXISTS (SELECT 1 FROM receipts
         WHERE receipts.client_id = receipt_room.client_id AND made_at < ? AND state <> 'open')",
    )?;
    let clients = clients.query_map([before], |row| row.get(0))?;
    Ok(clients.collect::<Result<_, _>>()?)
}
