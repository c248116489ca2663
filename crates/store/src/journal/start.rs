//! Starts the journal.

use std::sync::Arc;

use super::intake::Journal;
use crate::store::Engine;
use crate::{Store, StoreError};

impl Journal {
    /// Closes the rows that an earlier process left open, and opens this store's journal for rows. Call it once for each store.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn start(store: &Arc<Store>) -> Result<Arc<Journal>, StoreError> {
        let left_open = match store.engine() {
            Engine::Sqlite(sqlite) => sqlite.close_left_open().await?,
            Engine::Postgres(postgres) => postgres.close_left_open().await?,
        };
        if left_open > 0 {
            tracing::warn!(
                rows = left_open,
                "sends that the last process left open were closed as unknown"
            );
        }
        let journal = Arc::clone(store.journal());
        journal.queue.open();
        Ok(journal)
    }
}
