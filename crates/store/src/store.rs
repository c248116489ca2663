//! The store of one gateway. Each verb stands in the file of what it is about, and asks the engine.

use std::path::Path;
use std::sync::Arc;

use crate::memory::StoreMemory;
use crate::sqlite::SqliteStore;
use crate::{Accesses, AdminKey, Journal, StoreError};

/// The store of one gateway.
pub struct Store {
    engine: Engine,
    memory: Arc<StoreMemory>,
}

/// What keeps the data. Each has queries of its own: what one does well the other does not know.
pub(crate) enum Engine {
    /// One file of one process.
    Sqlite(SqliteStore),
}

impl Store {
    /// Opens or makes the file, readable by its owner only, brings it up to date and reads all accesses.
    ///
    /// # Errors
    /// When the file can't be opened, is not a SQLite file, or was written by a newer program.
    pub async fn open(file: &Path) -> Result<Store, StoreError> {
        let sqlite = SqliteStore::open(file).await?;
        Ok(Store {
            memory: Arc::clone(sqlite.memory()),
            engine: Engine::Sqlite(sqlite),
        })
    }

    /// The accesses as they are now. Costs no lock.
    #[must_use]
    pub fn accesses(&self) -> Arc<Accesses> {
        self.memory.accesses.load_full()
    }

    /// The keys of operators as they are now. Costs no lock.
    #[must_use]
    pub fn admin_keys(&self) -> Arc<Vec<AdminKey>> {
        self.memory.admin_keys.load_full()
    }

    /// The journal, which takes rows at once and has them on the disk a moment later.
    #[must_use]
    pub fn journal(&self) -> &Arc<Journal> {
        &self.memory.journal
    }

    /// Closes the store after all that was begun.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.close().await,
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn memory(&self) -> &StoreMemory {
        &self.memory
    }

    /// The engine itself, for tests that break something.
    #[cfg(test)]
    pub(crate) fn sqlite(&self) -> &SqliteStore {
        let Engine::Sqlite(sqlite) = &self.engine;
        sqlite
    }
}

#[cfg(test)]
mod tests;
