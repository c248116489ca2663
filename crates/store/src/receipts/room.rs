//! The room that receipts may take: each access's own, and that of all together. What is taken is counted by triggers of the
//! store (migration 8), in the transaction of what changes it.

use rusqlite::{Connection, OptionalExtension};
use sqlx::Row;

use super::{CLEARED_AT_ONCE, Claim};
use crate::{Store, StoreError};

/// Longest answer that a receipt keeps, in bytes: the result of a send is empty as a rule. What was sent with a longer one is
/// told again as sent, with an empty result. The migration counts an open receipt with as much.
pub const RECEIPT_ANSWER_BYTES_MAX: usize = 64 * 1024;

/// What an open receipt takes besides its request id, in bytes, as the migration counts it.
const OPEN_BYTES: i64 = 512 + 1024 + 17 * 4096;

/// When to come again while the receipts of all accesses take all room: some of them expire at any time.
const ALL_RETRY_S: i64 = 60;

const TAKEN: &str = "SELECT bytes FROM receipt_room WHERE client_id = ?";
const OLDEST: &str = "SELECT made_at FROM receipts WHERE client_id = ? ORDER BY made_at LIMIT 1";

/// How much room receipts may take, in bytes of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptRoom {
    /// Those of one access.
    pub per_access: i64,
    /// Those of all accesses.
    pub all: i64,
}

/// Why a key can't be claimed: the receipts that count take all the room there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom {
    /// Whether the receipts of the access itself take its room, and not those of all accesses together.
    pub own: bool,
    /// When to try again, in seconds from now; at least 1.
    pub retry_s: i64,
}

impl Claim {
    /// Why the receipt of this claim finds no room, with what is taken by the access and by all; nothing when it fits.
    fn refused(&self, (own, all): (i64, i64), oldest: Option<i64>) -> Option<NoRoom> {
        let bytes = OPEN_BYTES + i64::try_from(self.request_id.len()).unwrap_or(i64::MAX / 2);
        let own = own + bytes > self.room.per_access;
        if !own && all + bytes <= self.room.all {
            return None;
        }
        // One expires as soon as it was made before `kept_since`.
        let until_oldest = oldest.map_or(1, |made_at| made_at - self.kept_since + 1);
        let retry_s = if own { until_oldest } else { ALL_RETRY_S };
        Some(NoRoom {
            own,
            retry_s: retry_s.max(1),
        })
    }
}

/// Why there is no room for the receipt of this claim. Makes room first, of the receipts of the same access that have expired.
pub(super) fn no_room(
    connection: &Connection,
    claim: &Claim,
) -> Result<Option<NoRoom>, StoreError> {
    let refused = refused_now(connection, claim)?;
    if refused.is_none() || clear_expired(connection, claim)? == 0 {
        return Ok(refused);
    }
    refused_now(connection, claim)
}

fn refused_now(connection: &Connection, claim: &Claim) -> Result<Option<NoRoom>, StoreError> {
    let taken = |client_id: &str| -> Result<i64, StoreError> {
        let mut taken = connection.prepare_cached(TAKEN)?;
        let bytes = taken.query_row([client_id], |row| row.get(0)).optional()?;
        Ok(bytes.unwrap_or(0))
    };
    let taken = (taken(&claim.client_id)?, taken("")?);
    if claim.refused(taken, None).is_none() {
        return Ok(None);
    }
    let mut oldest = connection.prepare_cached(OLDEST)?;
    let oldest = oldest.query_row([&claim.client_id], |row| row.get(0));
    Ok(claim.refused(taken, oldest.optional()?))
}

fn clear_expired(connection: &Connection, claim: &Claim) -> Result<usize, StoreError> {
    let mut clear = connection.prepare_cached(
        "DELETE FROM receipts WHERE row IN (SELECT row FROM receipts
         WHERE client_id = ? AND made_at < ? AND state <> 'open' LIMIT ?)",
    )?;
    Ok(clear.execute((&claim.client_id, claim.kept_since, CLEARED_AT_ONCE))?)
}

impl Store {
    /// Why a claim would find no room, without writing anything; nothing where only writing can tell, because receipts of the
    /// access have expired and are still there.
    ///
    /// # Errors
    /// When the store can't be read.
    pub(super) async fn no_room(&self, claim: &Claim) -> Result<Option<NoRoom>, StoreError> {
        let row = sqlx::query(
            "SELECT coalesce((SELECT bytes FROM receipt_room WHERE client_id = ?1), 0) AS own,
             (SELECT bytes FROM receipt_room WHERE client_id = '') AS of_all,
             (SELECT min(made_at) FROM receipts WHERE client_id = ?1) AS oldest",
        )
        .bind(&claim.client_id)
        .fetch_one(self.reader())
        .await?;
        let oldest: Option<i64> = row.try_get("oldest")?;
        if oldest.is_some_and(|made_at| made_at < claim.kept_since) {
            return Ok(None);
        }
        Ok(claim.refused((row.try_get("own")?, row.try_get("of_all")?), oldest))
    }

    /// What the receipts of an access take, by its client id: their number, and their bytes.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn receipts_taken(&self, client_id: &str) -> Result<(u64, u64), StoreError> {
        let row = sqlx::query("SELECT receipts, bytes FROM receipt_room WHERE client_id = ?")
            .bind(client_id)
            .fetch_optional(self.reader())
            .await?;
        let Some(row) = row else { return Ok((0, 0)) };
        let (receipts, bytes): (i64, i64) = (row.try_get("receipts")?, row.try_get("bytes")?);
        Ok((receipts.unsigned_abs(), bytes.unsigned_abs()))
    }
}
