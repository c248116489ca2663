//! Looks up and clears receipts in PostgreSQL. The statements of sends claim and settle receipts (`journal/opens.rs`,
//! `journal/closes.rs`). Triggers count the room that receipts take, each connection in its own rows as a rule, so that no two
//! sends wait for the same row.

use std::sync::{Arc, Weak};

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::error::PgError;
use super::key_lookups::{KeyLookupResult, KeyLookups, reply};
use super::session::{PgSession, Value};
use super::store::PostgresStore;
use crate::receipts::hash_of;
use crate::{Claim, Obstacle, Receipt, ReceiptState, StoreError};

/// Maximum number of receipts in one deletion. It takes some 20 ms, and no caller has to wait for it.
const DELETED_PER_BATCH: i64 = 1000;

/// Looks up the receipt of each claim, in the order of the claims, and the room. The room is added up once for each access. `LIMIT`
/// makes the plan look up each receipt by the index, even if the table was small when the plan was made.
const LOOKUP: &str = "WITH room AS MATERIALIZED (
        SELECT client_id, (SELECT coalesce(sum(bytes), 0)::bigint FROM chatgate.receipt_room t WHERE t.client_id = d.client_id) AS own,
            (SELECT min(made_at) FROM chatgate.receipts t WHERE t.client_id = d.client_id) AS oldest
        FROM (SELECT DISTINCT client_id FROM unnest($1) AS d(client_id)) d
    )
    SELECT r.method, r.state, r.request_id, r.made_at, r.fingerprint, r.answer, room.own, room.oldest,
        (SELECT coalesce(sum(bytes), 0)::bigint FROM chatgate.receipt_room t WHERE t.client_id = '') AS taken
    FROM unnest($1, $2, $3) WITH ORDINALITY AS q(client_id, method, key, n) JOIN room USING (client_id)
    LEFT JOIN LATERAL (
        SELECT * FROM chatgate.receipts r WHERE (r.client_id, r.method, r.key) = (q.client_id, q.method, q.key) LIMIT 1
    ) r ON true ORDER BY q.n";

const OF_KEY: &str =
    "SELECT method, state, request_id, made_at, fingerprint, answer FROM chatgate.receipts
    WHERE client_id = $1 AND key = $2 ORDER BY method";

const TAKEN: &str = "SELECT coalesce(sum(receipts), 0)::bigint AS receipts, coalesce(sum(bytes), 0)::bigint AS bytes
    FROM chatgate.receipt_room WHERE client_id = $1";

const CLEAR_SOME: &str =
    "DELETE FROM chatgate.receipts WHERE row = ANY(ARRAY(SELECT row FROM chatgate.receipts
    WHERE client_id = $1 AND made_at < $2 AND state <> 'open' ORDER BY row LIMIT $3))";

/// Looks up claims with these hashed keys. `ahead_s` is how many seconds the database's clock is ahead.
///
/// # Errors
/// When the database can't be read.
pub(super) async fn lookup(
    session: &mut PgSession,
    claims: &[(&Claim, &[u8])],
    ahead_s: i64,
) -> Result<Vec<KeyLookupResult>, PgError> {
    let lists = ClaimLists::of(claims);
    let rows = session.query_prepared(LOOKUP, &lists.values()).await?;
    rows.iter().map(|row| looked(row, ahead_s)).collect()
}

/// The keys of claims, column by column.
struct ClaimLists<'c> {
    client_ids: Vec<&'c str>,
    methods: Vec<&'c str>,
    keys: Vec<&'c [u8]>,
}

impl<'c> ClaimLists<'c> {
    fn of(claims: &[(&'c Claim, &'c [u8])]) -> ClaimLists<'c> {
        ClaimLists {
            client_ids: claims.iter().map(|(claim, _)| &*claim.client_id).collect(),
            methods: claims.iter().map(|(claim, _)| claim.method).collect(),
            keys: claims.iter().map(|(_, key)| *key).collect(),
        }
    }

    fn values(&self) -> [Value<'_>; 3] {
        [
            (&self.client_ids, Type::TEXT_ARRAY),
            (&self.methods, Type::TEXT_ARRAY),
            (&self.keys, Type::BYTEA_ARRAY),
        ]
    }
}

fn looked(row: &Row, ahead_s: i64) -> Result<KeyLookupResult, PgError> {
    let state: Option<&str> = row.try_get("state")?;
    let oldest: Option<i64> = row.try_get("oldest")?;
    Ok(KeyLookupResult {
        receipt: state.map(|_| read(row, ahead_s)).transpose()?,
        taken: (row.try_get("own")?, row.try_get("taken")?),
        oldest: oldest.map(|made_at| made_at - ahead_s),
    })
}

fn read(row: &Row, ahead_s: i64) -> Result<Receipt, PgError> {
    let fingerprint: &[u8] = row.try_get("fingerprint")?;
    Ok(Receipt {
        method: row.try_get("method")?,
        state: ReceiptState::from_word(row.try_get("state")?)
            .ok_or_else(|| PgError::new("a receipt is in an unknown state"))?,
        request_id: row.try_get("request_id")?,
        made_at: row.try_get::<_, i64>("made_at")? - ahead_s,
        fingerprint: fingerprint
            .try_into()
            .map_err(|_| PgError::new("a receipt has no fingerprint"))?,
        answer: row.try_get("answer")?,
    })
}

/// Deletes one batch of receipts of an access that were made before `before` by the database's clock. Returns the number of deleted
/// receipts.
///
/// # Errors
/// When the database can't be written.
pub(super) async fn clear_batch(
    session: &mut PgSession,
    client_id: &str,
    before: i64,
) -> Result<u64, PgError> {
    let values: [Value<'_>; 3] = [
        (&client_id, Type::TEXT),
        (&before, Type::INT8),
        (&DELETED_PER_BATCH, Type::INT8),
    ];
    session.execute(CLEAR_SOME, &values).await
}

/// Answers lookups until the store is closed.
pub(super) async fn run_lookups(store: Weak<PostgresStore>, key_lookups: Arc<KeyLookups>) {
    loop {
        let batch = key_lookups.next().await;
        let Some(store) = store.upgrade() else { return };
        let claims = batch.iter().map(|one| (&one.claim, one.key.as_slice()));
        let claims: Vec<_> = claims.collect();
        let looked = store.lookup(&claims).await;
        reply(batch, looked);
    }
}

impl PostgresStore {
    /// Looks up claims with these hashed keys, over one of the pool's connections.
    ///
    /// # Errors
    /// When the database can't be read.
    async fn lookup(&self, claims: &[(&Claim, &[u8])]) -> Result<Vec<KeyLookupResult>, PgError> {
        let lists = ClaimLists::of(claims);
        let rows = self.pool().read_prepared(LOOKUP, &lists.values()).await?;
        let ahead_s = self.lease().ahead_s();
        rows.iter().map(|row| looked(row, ahead_s)).collect()
    }

    /// Returns the obstacle to a claim, without making the claim.
    pub(crate) async fn obstacle(&self, claim: &Claim) -> Result<Option<Obstacle>, StoreError> {
        let key = claim.hashed_key(&self.journal_key);
        let looked = self.key_lookups.ask(claim.clone(), key).await?;
        if let Some(receipt) = looked.receipt.filter(|receipt| claim.counts(receipt)) {
            return Ok(Some(Obstacle::Known(receipt)));
        }
        // Expired receipts still count towards the room, so only an actual claim can decide.
        if looked
            .oldest
            .is_some_and(|made_at| made_at < claim.kept_since)
        {
            return Ok(None);
        }
        Ok(claim
            .refused(looked.taken, looked.oldest)
            .map(Obstacle::ReceiptsFull))
    }

    /// Returns the receipts of one key of an access.
    pub(crate) async fn receipts(
        &self,
        client_id: &str,
        key: &str,
    ) -> Result<Vec<Receipt>, StoreError> {
        let key = hash_of(&self.journal_key, client_id, key);
        let values: [Value<'_>; 2] = [(&client_id, Type::TEXT), (&key, Type::BYTEA)];
        let rows = self.pool().read(OF_KEY, &values).await?;
        let ahead_s = self.lease().ahead_s();
        Ok(rows
            .iter()
            .map(|row| read(row, ahead_s))
            .collect::<Result<_, _>>()?)
    }

    /// Returns the number and the bytes of an access's receipts, or of all receipts for an empty client id.
    pub(crate) async fn receipts_taken(&self, client_id: &str) -> Result<(u64, u64), StoreError> {
        let rows = self.pool().read(TAKEN, &[(&client_id, Type::TEXT)]).await?;
        let Some(row) = rows.first() else {
            return Ok((0, 0));
        };
        let count = |name| row.try_get::<_, i64>(name).map(i64::unsigned_abs);
        let taken = count("receipts").and_then(|receipts| Ok((receipts, count("bytes")?)));
        Ok(taken.map_err(PgError::from)?)
    }

    /// Deletes the receipts that were made before this time.
    pub(crate) async fn clear_receipts(&self, before: i64) -> Result<(), StoreError> {
        let before = before + self.lease().ahead_s();
        let clients = "SELECT DISTINCT client_id FROM chatgate.receipt_room WHERE client_id <> ''";
        for row in self.pool().read(clients, &[]).await? {
            let client_id: &str = row.try_get("client_id").map_err(PgError::from)?;
            let values: [Value<'_>; 3] = [
                (&client_id, Type::TEXT),
                (&before, Type::INT8),
                (&DELETED_PER_BATCH, Type::INT8),
            ];
            let clear = format!(
                "WITH gone AS ({CLEAR_SOME} RETURNING 1) SELECT count(*) AS gone FROM gone"
            );
            loop {
                let gone = self.pool().write(&clear, &values).await?;
                let gone = gone.first().map(|row| row.try_get::<_, i64>("gone"));
                let gone = gone.transpose().map_err(PgError::from)?;
                if gone != Some(DELETED_PER_BATCH) {
                    break;
                }
            }
        }
        let zero = "DELETE FROM chatgate.receipt_room WHERE receipts = 0 AND bytes = 0";
        self.pool().write(zero, &[]).await?;
        Ok(())
    }
}
