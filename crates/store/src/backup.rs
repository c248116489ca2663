//! A consistent copy of the store while it is in use.

use std::fs::File;

use crate::store::Engine;
use crate::{Store, StoreError};

impl Store {
    /// A copy of all that is in the store now, as one SQLite file that has no name any more: it is private, and gone as
    /// soon as it is closed, however the process ends. Needs as much room on the disk as the store. One copy is made at a
    /// time; another call waits.
    ///
    /// # Errors
    /// When the copy can't be made, for want of room as a rule.
    pub async fn backup(&self) -> Result<File, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.backup().await,
            Engine::Postgres(_) => Err(StoreError::new(
                "a database is copied by its own tools, such as pg_dump",
            )),
        }
    }
}
