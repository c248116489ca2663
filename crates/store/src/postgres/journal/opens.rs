//! Opens sends that begin: one statement claims the keys of a batch and writes its rows to disk.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};

use super::open_lists::{OpenLists, RowToOpen};
use super::open_row::OpenRow;
use super::shared::LaneState;
use crate::journal::entry::{JournalEntry, Opening};
use crate::postgres::error::PgError;
use crate::postgres::key_lookups::KeyLookupResult;
use crate::postgres::receipts::{clear_batch, lookup};
use crate::postgres::session::PgSession;
use crate::{Claim, Obstacle, Receipt, ReceiptState};

/// Maximum number of attempts for a claim that finds neither its own receipt nor another one, because another send has freed the
/// key in between.
const CLAIM_TRIES: u32 = 3;

/// Maximum number of attempts for a statement that another transaction was in the way of. Nothing was written in that case.
const STATEMENT_TRIES: u32 = 3;

/// Claims keys and opens rows. All replicas claim in the same order, so that no two of them wait for each other. The room is added
/// up once for each access. Rows that are neither claimed nor opened are missing from the result. A replica without a lease opens
/// nothing and gets one row without an id.
const OPEN: &str = "WITH o AS (
        SELECT * FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
            AS o(id, client_id, method, key, fingerprint, request_id, made_at, kept_since, own_bytes, own_max, all_bytes, all_max, row)
        WHERE EXISTS (SELECT FROM chatgate.replicas WHERE id = $1 AND lease_until > now())
    ), room AS MATERIALIZED (
        SELECT client_id, (SELECT coalesce(sum(bytes), 0)::bigint FROM chatgate.receipt_room t WHERE t.client_id = d.client_id) AS own
        FROM (SELECT DISTINCT client_id FROM unnest($3) AS d(client_id)) d
    ), claimed AS (
        INSERT INTO chatgate.receipts AS r (client_id, method, key, fingerprint, row, request_id, made_at, state)
        SELECT client_id, method, key, fingerprint, id, request_id, made_at, 'open' FROM o JOIN room USING (client_id)
        WHERE key IS NOT NULL AND own_bytes + own <= own_max
            AND all_bytes + (SELECT coalesce(sum(bytes), 0)::bigint FROM chatgate.receipt_room t WHERE t.client_id = '') <= all_max
        ORDER BY client_id, method, key
        ON CONFLICT (client_id, method, key) DO UPDATE SET fingerprint = excluded.fingerprint, row = excluded.row,
            request_id = excluded.request_id, made_at = excluded.made_at, state = 'open', answer = NULL
            WHERE r.state <> 'open' AND r.made_at < (SELECT kept_since FROM o WHERE o.id = excluded.row)
        RETURNING row
    ), opened AS (
        INSERT INTO chatgate.intents (id, owner, row)
        SELECT id, $1, row FROM o WHERE key IS NULL OR id IN (SELECT row FROM claimed) RETURNING id
    )
    SELECT id FROM opened
    UNION ALL SELECT NULL WHERE NOT EXISTS (SELECT FROM chatgate.replicas WHERE id = $1 AND lease_until > now())";

/// Opens rows that claim no key. A replica without a lease opens none. Without claims [`OPEN`] would take twice as long, because of
/// its parts for claims and the triggers that count their room.
const OPEN_UNKEYED: &str =
    "INSERT INTO chatgate.intents (id, owner, row) SELECT id, $1, row FROM unnest($2, $3) AS o(id, row)
    WHERE EXISTS (SELECT FROM chatgate.replicas WHERE id = $1 AND lease_until > now()) RETURNING id";

/// The obstacles to openings, by their indexes in the batch.
type Obstacles = HashMap<usize, Obstacle>;

impl LaneState {
    /// Opens a batch. Each opening with an obstacle gets the obstacle recorded in it.
    ///
    /// # Errors
    /// When the statement failed. No send of the batch may begin then, although its row may have been opened.
    pub(super) async fn open(
        &self,
        session: &mut PgSession,
        batch: &mut [JournalEntry],
    ) -> Result<(), PgError> {
        for opening in batch.iter_mut().filter_map(opening_of) {
            opening.row.id = self.ids.next(self.lease.database_ms(opening.row.at_ms));
            self.sends.begin(opening.row.id);
        }
        let obstacles = self.claim_and_open(session, batch).await?;
        for (place, obstacle) in obstacles {
            if let Some(opening) = batch.get_mut(place).and_then(opening_of) {
                self.sends.end(opening.row.id);
                opening.obstacle = Some(obstacle);
            }
        }
        Ok(())
    }

    async fn claim_and_open(
        &self,
        session: &mut PgSession,
        batch: &[JournalEntry],
    ) -> Result<Obstacles, PgError> {
        let (mut left, second) = self.gather(batch);
        let mut obstacles = Obstacles::new();
        for tried in 0..CLAIM_TRIES {
            // The rows that an earlier statement has opened exist, even if the next statement fails.
            let after = |error: PgError| {
                if tried > 0 {
                    error.after_success()
                } else {
                    error
                }
            };
            left = self.open_some(session, left).await.map_err(after)?;
            if left.is_empty() {
                break;
            }
            let looked = look_at(session, left, &mut obstacles, self.lease.ahead_s()).await;
            left = looked.map_err(PgError::after_success)?;
        }
        // Others repeatedly claim and free the keys of the remaining rows.
        for wanted in left {
            if let Some((claim, _)) = wanted.claim {
                obstacles.insert(wanted.place, under_way(claim));
            }
        }
        // A key that occurs twice in the batch is claimed once. The later opening gets the outcome of the first one.
        for (place, first, claim) in second {
            let found = obstacles.get(&first).cloned();
            obstacles.insert(place, found.unwrap_or_else(|| under_way(claim)));
        }
        Ok(obstacles)
    }

    /// Returns the rows to open, and the openings whose key another opening of the batch claims: each with its index, the index of
    /// that opening, and the claim of that opening.
    fn gather<'b>(
        &self,
        batch: &'b [JournalEntry],
    ) -> (Vec<RowToOpen<'b>>, Vec<(usize, usize, &'b Claim)>) {
        let mut first = HashMap::new();
        let (mut wanted, mut second) = (Vec::new(), Vec::new());
        for (place, entry) in batch.iter().enumerate() {
            let JournalEntry::Open(opening) = entry else {
                continue;
            };
            let claim = opening.claim.as_ref();
            let claim = claim.map(|claim| (claim, claim.hashed_key(&self.key)));
            if let Some((claim, key)) = &claim {
                match first.entry((&claim.client_id, claim.method, key.clone())) {
                    Entry::Occupied(first) => {
                        let (first, claim) = *first.get();
                        second.push((place, first, claim));
                        continue;
                    }
                    Entry::Vacant(vacant) => {
                        vacant.insert((place, *claim));
                    }
                }
            }
            wanted.push(RowToOpen {
                place,
                id: opening.row.id,
                row: OpenRow::text_of(&opening.row, &self.key),
                claim,
            });
        }
        (wanted, second)
    }

    /// Opens as many rows as possible and returns the rest.
    async fn open_some<'b>(
        &self,
        session: &mut PgSession,
        mut wanted: Vec<RowToOpen<'b>>,
    ) -> Result<Vec<RowToOpen<'b>>, PgError> {
        let lists = OpenLists::of(&wanted, self.lease.ahead_s());
        let owner = self.ids.replica().id;
        let has_claims = wanted.iter().any(|wanted| wanted.claim.is_some());
        let (all, unkeyed) = (lists.values(&owner), lists.unkeyed_values(&owner));
        let (sql, values) = if has_claims {
            (OPEN, &all[..])
        } else {
            (OPEN_UNKEYED, &unkeyed[..])
        };
        let mut tries = 1;
        let opened = loop {
            match session.query_prepared(sql, values).await {
                Err(error) if error.is_retryable() && tries < STATEMENT_TRIES => tries += 1,
                ended => break ended?,
            }
        };
        if !has_claims && opened.len() < wanted.len() {
            return Err(lease_over());
        }
        let mut ids = HashSet::new();
        for row in &opened {
            let id: Option<i64> = row.try_get("id")?;
            ids.insert(id.ok_or_else(lease_over)?);
        }
        wanted.retain(|wanted| !ids.contains(&wanted.id));
        Ok(wanted)
    }
}

fn lease_over() -> PgError {
    PgError::new("this replica's lease has expired")
}

fn opening_of(entry: &mut JournalEntry) -> Option<&mut Opening> {
    match entry {
        JournalEntry::Open(opening) => Some(opening),
        _ => None,
    }
}

/// Finds the obstacles to claims. Returns the rows whose claims may succeed when retried. The statement that claims does not see a
/// receipt that another statement makes at the same time.
async fn look_at<'b>(
    session: &mut PgSession,
    mut left: Vec<RowToOpen<'b>>,
    obstacles: &mut Obstacles,
    ahead_s: i64,
) -> Result<Vec<RowToOpen<'b>>, PgError> {
    let claims = left.iter().filter_map(|wanted| wanted.claim.as_ref());
    let claims: Vec<_> = claims
        .map(|(claim, key)| (*claim, key.as_slice()))
        .collect();
    let looked = lookup(session, &claims, ahead_s).await?;
    let mut expired = BTreeMap::new();
    let mut looked = looked.into_iter();
    left.retain(|wanted| {
        let (Some((claim, _)), Some(looked)) = (&wanted.claim, looked.next()) else {
            return false;
        };
        let KeyLookupResult {
            receipt,
            taken,
            oldest,
        } = looked;
        if let Some(receipt) = receipt.filter(|receipt| claim.counts(receipt)) {
            obstacles.insert(wanted.place, Obstacle::Known(receipt));
            return false;
        }
        let Some(receipts_full) = claim.refused(taken, oldest) else {
            return true;
        };
        if oldest.is_some_and(|made_at| made_at < claim.kept_since) {
            expired.insert(claim.client_id.as_str(), claim.kept_since);
            return true;
        }
        obstacles.insert(wanted.place, Obstacle::ReceiptsFull(receipts_full));
        false
    });
    for (client_id, kept_since) in expired {
        clear_batch(session, client_id, kept_since + ahead_s).await?;
    }
    Ok(left)
}

/// Returns the obstacle to claiming a key that another send is about to use.
fn under_way(claim: &Claim) -> Obstacle {
    Obstacle::Known(Receipt {
        method: claim.method.to_owned(),
        state: ReceiptState::Open,
        request_id: claim.request_id.clone(),
        made_at: claim.now,
        fingerprint: claim.fingerprint,
        answer: None,
    })
}
