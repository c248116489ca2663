//! Reads and clears receipts.

use super::receipt::{Claim, Obstacle, Receipt};
use crate::store::Engine;
use crate::{Store, StoreError};

impl Store {
    /// Returns the obstacle to a claim without making the claim: a receipt that has not expired, or a lack of room.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn obstacle(&self, claim: &Claim) -> Result<Option<Obstacle>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.obstacle(claim).await,
            Engine::Postgres(postgres) => postgres.obstacle(claim).await,
        }
    }

    /// Returns the receipts for one key of an access, one for each method that was called with the key.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn receipts(&self, client_id: &str, key: &str) -> Result<Vec<Receipt>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.receipts(client_id, key).await,
            Engine::Postgres(postgres) => postgres.receipts(client_id, key).await,
        }
    }

    /// Returns the number of receipts of an access, given by client id, and their size in bytes.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn receipts_taken(&self, client_id: &str) -> Result<(u64, u64), StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.receipts_taken(client_id).await,
            Engine::Postgres(postgres) => postgres.receipts_taken(client_id).await,
        }
    }

    /// Deletes the receipts that were made before this time; seconds since 1970, UTC. Receipts of a deleted access are kept equally
    /// long, because an import may create the access again, and its messages must not be sent again.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn clear_receipts(&self, before: i64) -> Result<(), StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.clear_receipts(before).await,
            Engine::Postgres(postgres) => postgres.clear_receipts(before).await,
        }
    }
}
