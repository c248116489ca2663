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
    if refused.is_none() || clear_some(connection, client, kept_since)? == Cleared::None {
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

/// How many receipts were deleted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cleared {
    None,
    All,
    /// As many as go at once: there may be more.
    Some,
}

/// Deletes receipts of an access that were made before this, as many as go at once.
pub(super) fn clear_some(
    connection: &Connection,
    client_id: &str,
    before: i64,
) -> Result<Cleared, StoreError> {
    let mut clear = connection.prepare_cached(
        "DELETE FROM receipts WHERE row IN (SELECT row FROM receipts
         WHERE client_id = ? AND made_at < ? AND state <> 'open' LIMIT ?)",
    )?;
    let cleared = clear.execute((client_id, before, CLEARED_AT_ONCE as i64))?;
    Ok(match cleared {
        0 => Cleared::None,
        CLEARED_AT_ONCE => Cleared::Some,
        _ => Cleared::All,
    })
}
