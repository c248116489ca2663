//! Makes a consistent copy of the store while it is in use.

use std::fs::File;

use crate::store::Engine;
use crate::{Store, StoreError};

impl Store {
    /// Returns a copy of the whole current store as one SQLite file without a name: the file is private, and disappears as soon as
    /// it is closed, however the process ends. The copy needs as much disk space as the store. Only one copy is made at a time;
    /// another call waits.
    ///
    /// # Errors
    /// When the copy can't be made, usually because the disk has too little space.
    pub async fn backup(&self) -> Result<File, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.backup().await,
            Engine::Postgres(_) => Err(StoreError::new(
                "copy a database with its own tools, such as pg_dump",
            )),
        }
    }
}
