//! Reads and clears receipts in SQLite.

use super::room::{clear_batch_of_all, clients_to_clear, receipts_full, taken};
use super::table::{find, find_all};
use crate::receipts::hash_of;
use crate::sqlite::store::SqliteStore;
use crate::{Claim, Obstacle, Receipt, StoreError};

/// Number of accesses whose receipts are cleared in one transaction: with one transaction for each access, 100,000 accesses would
/// wait for the disk 100,000 times.
const CLIENTS_PER_BATCH: usize = 100;

impl SqliteStore {
    pub(crate) async fn obstacle(&self, claim: &Claim) -> Result<Option<Obstacle>, StoreError> {
        let (claim, key) = (claim.clone(), claim.hashed_key(self.journal_key()));
        self.read(move |connection| {
            let receipt = find(connection, &claim, &key)?;
            match receipt.filter(|receipt| claim.counts(receipt)) {
                Some(receipt) => Ok(Some(Obstacle::Known(receipt))),
                None => Ok(receipts_full(connection, &claim)?.map(Obstacle::ReceiptsFull)),
            }
        })
        .await
    }

    pub(crate) async fn receipts(
        &self,
        client_id: &str,
        key: &str,
    ) -> Result<Vec<Receipt>, StoreError> {
        let key = hash_of(self.journal_key(), client_id, key);
        let client_id = client_id.to_owned();
        self.read(move |connection| find_all(connection, &client_id, &key))
            .await
    }

    pub(crate) async fn receipts_taken(&self, client_id: &str) -> Result<(u64, u64), StoreError> {
        let client_id = client_id.to_owned();
        self.read(move |connection| {
            let (receipts, bytes) = taken(connection, &client_id)?;
            Ok((receipts.unsigned_abs(), bytes.unsigned_abs()))
        })
        .await
    }

    pub(crate) async fn clear_receipts(&self, before: i64) -> Result<(), StoreError> {
        let clients = self.read(move |connection| clients_to_clear(connection, before));
        for clients in clients.await?.chunks(CLIENTS_PER_BATCH) {
            let mut has_more = true;
            while has_more {
                let clients = clients.to_vec();
                let clear = self
                    .write(move |transaction| clear_batch_of_all(transaction, &clients, before));
                has_more = clear.await?;
            }
        }
        Ok(())
    }
}
