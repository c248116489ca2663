//! The start of the journal.

use std::sync::Arc;

use super::batch::try_writing;
use super::intake::Journal;
use crate::receipts::close_left_open;
use crate::{Store, StoreError};

impl Journal {
    /// Closes what an earlier process left open, and has this store's journal take rows. Once for each store.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn start(store: &Arc<Store>) -> Result<Arc<Journal>, StoreError> {
        let left_open = store.write(|transaction| {
            try_writing(transaction)?;
            close_left_open(transaction)?;
            let closed = transaction.execute(
                "UPDATE journal SET open = 0, delivery = 'unknown', cause = 'the gateway ended before the outcome was known'
                 WHERE open = 1",
                [],
            )?;
            Ok(closed)
        });
        let left_open = left_open.await?;
        if left_open > 0 {
            tracing::warn!(
                rows = left_open,
                "closed as unknown what the last process left open"
            );
        }
        let journal = Arc::clone(store.journal());
        journal.queue.open();
        Ok(journal)
    }
}
