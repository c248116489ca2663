//! Asking for receipts, and clearing them.

use super::receipt::{Claim, Obstacle, Receipt};
use crate::store::Engine;
use crate::{Store, StoreError};

impl Store {
    /// What stands in the way of a claim, without making it: a receipt that still counts, or want of room.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn obstacle(&self, claim: &Claim) -> Result<Option<Obstacle>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.obstacle(claim).await,
            Engine::Postgres(postgres) => postgres.obstacle(claim).await,
        }
    }

    /// The receipts of one key of an access, one for each method that it was used with.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn receipts(&self, client_id: &str, key: &str) -> Result<Vec<Receipt>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.receipts(client_id, key).await,
            Engine::Postgres(postgres) => postgres.receipts(client_id, key).await,
        }
    }

    /// What the receipts of an access take, by its client id: their number, and their bytes.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn receipts_taken(&self, client_id: &str) -> Result<(u64, u64), StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.receipts_taken(client_id).await,
            Engine::Postgres(postgres) => postgres.receipts_taken(client_id).await,
        }
    }

    /// Deletes the receipts that were made before this; seconds since 1970, UTC. Those of an access that is gone stay as
    /// long: it may come back by an import, and what was sent must not be sent again.
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
