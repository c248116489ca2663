//! Asking for receipts, and clearing them.

use super::receipt::{Claim, Obstacle, Receipt, hash_of};
use super::room::{Cleared, clear_some, no_room, taken};
use super::table::{find, find_all};
use crate::{Store, StoreError};

impl Store {
    /// What stands in the way of a claim, without making it: a receipt that still counts, or want of room.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn obstacle(&self, claim: &Claim) -> Result<Option<Obstacle>, StoreError> {
        let (claim, key) = (claim.clone(), claim.hashed_key(self.journal_key()));
        self.read(move |connection| {
            let receipt = find(connection, &claim, &key)?;
            match receipt.filter(|receipt| receipt.made_at >= claim.kept_since) {
                Some(receipt) => Ok(Some(Obstacle::Known(receipt))),
                None => Ok(no_room(connection, &claim)?.map(Obstacle::NoRoom)),
            }
        })
        .await
    }

    /// The receipts of one key of an access, one for each method that it was used with.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn receipts(&self, client_id: &str, key: &str) -> Result<Vec<Receipt>, StoreError> {
        let key = hash_of(self.journal_key(), client_id, key);
        let client_id = client_id.to_owned();
        self.read(move |connection| find_all(connection, &client_id, &key))
            .await
    }

    /// What the receipts of an access take, by its client id: their number, and their bytes.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn receipts_taken(&self, client_id: &str) -> Result<(u64, u64), StoreError> {
        let client_id = client_id.to_owned();
        self.read(move |connection| {
            let (receipts, bytes) = taken(connection, &client_id)?;
            Ok((receipts.unsigned_abs(), bytes.unsigned_abs()))
        })
        .await
    }

    /// Deletes the receipts that were made before this; seconds since 1970, UTC. Those of an access that is gone stay as
    /// long: it may come back by an import, and what was sent must not be sent again.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn clear_receipts(&self, before: i64) -> Result<(), StoreError> {
        let clients = self.read(|connection| {
            let clients = "SELECT client_id FROM receipt_room WHERE client_id <> ''";
            let mut clients = connection.prepare(clients)?;
            let clients = clients.query_map([], |row| row.get(0))?;
            Ok(clients.collect::<Result<Vec<String>, _>>()?)
        });
        for client in clients.await? {
            loop {
                let client = client.clone();
                let clear = self.write(move |transaction| clear_some(transaction, &client, before));
                if clear.await? != Cleared::Some {
                    break;
                }
            }
        }
        Ok(())
    }
}
