//! Prepares the start of the journal in SQLite.

use super::batch::try_writing;
use crate::StoreError;
use crate::sqlite::receipts::close_left_open;
use crate::sqlite::store::SqliteStore;

impl SqliteStore {
    /// Closes the rows that an earlier process left open. Returns the number of these rows.
    pub(crate) async fn close_left_open(&self) -> Result<u64, StoreError> {
        self.write(|transaction| {
            try_writing(transaction)?;
            close_left_open(transaction)?;
            let closed = transaction.execute(
                "UPDATE journal SET open = 0, delivery = 'unknown', cause = 'the gateway ended before the outcome was known'
                 WHERE open = 1",
                [],
            )?;
            Ok(closed as u64)
        })
        .await
    }
}
