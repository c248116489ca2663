//! The room that receipts may take: each access's own, and that of all together. Triggers of the store count what is taken
//! (migration 8), in the transaction that changes it.

use rusqlite::{Connection, OptionalExtension};

use crate::{Claim, NoRoom, StoreError};

/// Receipts deleted in one transaction: a few milliseconds, for which a send may have to wait.
const CLEARED_AT_ONCE: usize = 1000;

/// Why there is no room for the receipt of this claim, if there is none. Makes room first, of the receipts of the same access
/// that have expired.
pub(super) fn make_room(
    connection: &Connection,
    claim: &Claim,
) -> Result<Option<NoRoom>, StoreError> {
    let refused = refused_now(connection, claim)?;
    let (client, kept_since) = (&claim.client_id, claim.kept_since);
    if refused.is_none() || clear_some(connection, (client, kept_since), CLEARED_AT_ONCE)? == 0 {
        return Ok(refused);
    }
    refused_now(connection, claim)
}

/// Why a claim would find no room, without writing anything. Nothing where only writing can say, because receipts of the access
/// have expired and are still there.
pub(super) fn no_room(
    connection: &Connection,
    claim: &Claim,
) -> Result<Option<NoRoom>, StoreError> {
    let refused = refused_now(connection, claim)?;
    let is_expired = |made_at| made_at < claim.kept_since;
    if refused.is_some() && oldest(connection, claim)?.is_some_and(is_expired) {
        return Ok(None);
    }
    Ok(refused)
}

fn refused_now(connection: &Connection, claim: &Claim) -> Result<Option<NoRoom>, StoreError> {
    let taken = taken_for(connection, claim)?;
    if claim.refused(taken, None).is_none() {
        return Ok(None);
    }
    Ok(claim.refused(taken, oldest(connection, claim)?))
}

/// What the receipts of the claim's access take, and what those of all take, in bytes.
fn taken_for(connection: &Connection, claim: &Claim) -> Result<(i64, i64), StoreError> {
    let (own, all) = (taken(connection, &claim.client_id)?, taken(connection, "")?);
    Ok((own.1, all.1))
}

/// The number of receipts of an access, by its client id, and the bytes that they take; of all for an empty one.
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

/// Deletes at most so many receipts of an access that were made before this, and returns how many those were.
pub(super) fn clear_some(
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

/// Deletes receipts of these accesses that were made before this, as many as go at once. Returns whether there may be more.
pub(super) fn clear_all_some(
    connection: &Connection,
    clients: &[String],
    before: i64,
) -> Result<bool, StoreError> {
    let mut left = CLEARED_AT_ONCE;
    for client in clients {
        left -= clear_some(connection, (client, before), left)?;
        if left == 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The accesses, by client id, that have receipts which were made before this.
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
