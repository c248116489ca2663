//! The store of one gateway. Each verb stands in the file of what it is about, and asks the engine.

use std::path::Path;
use std::sync::Arc;

use crate::memory::StoreMemory;
use crate::postgres::{PostgresStore, start_heartbeat};
use crate::sqlite::SqliteStore;
use crate::{Accesses, AdminKey, Journal, PostgresOptions, StoreConnections, StoreError};

/// The store of one gateway.
pub struct Store {
    engine: Engine,
    memory: Arc<StoreMemory>,
}

/// What keeps the data. Each has queries of its own: what one does well the other does not know.
pub(crate) enum Engine {
    /// One file of one process.
    Sqlite(Box<SqliteStore>),
    /// One database of several replicas.
    Postgres(Arc<PostgresStore>),
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
            engine: Engine::Sqlite(Box::new(sqlite)),
        })
    }

    /// Connects to a database, brings its tables up to date and reads all accesses.
    ///
    /// # Errors
    /// When it can't be reached or changed, a newer program has changed it, or its keys do not open.
    pub async fn open_postgres(options: &PostgresOptions) -> Result<Store, StoreError> {
        let postgres = Arc::new(PostgresStore::open(options).await?);
        start_heartbeat(&postgres);
        Ok(Store {
            memory: Arc::clone(postgres.memory()),
            engine: Engine::Postgres(postgres),
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

    /// The file that the store is in; nothing where it is in a database.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.engine {
            Engine::Sqlite(sqlite) => Some(sqlite.file()),
            Engine::Postgres(_) => None,
        }
    }

    /// The connections for look-ups and changes; nothing where the store is in a file.
    #[must_use]
    pub fn connections(&self) -> Option<StoreConnections> {
        match &self.engine {
            Engine::Sqlite(_) => None,
            Engine::Postgres(postgres) => Some(postgres.connections()),
        }
    }

    /// Looks whether the store's file is still at its place. While it is not, the journal is in trouble, and nothing is begun or
    /// changed that has to be on the disk. Nothing to do for a store that is not a file.
    pub async fn look_for_file(&self) {
        if let Engine::Sqlite(sqlite) = &self.engine {
            sqlite.look_for_file().await;
        }
    }

    /// Closes the store after all that was begun.
    pub async fn close(&self) {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite.close().await,
            Engine::Postgres(postgres) => postgres.close().await,
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn memory(&self) -> &StoreMemory {
        &self.memory
    }

    /// The engine itself, for tests of what only it has.
    #[cfg(test)]
    pub(crate) fn postgres(&self) -> &PostgresStore {
        match &self.engine {
            Engine::Sqlite(_) => panic!("it is another engine"),
            Engine::Postgres(postgres) => postgres,
        }
    }

    /// The engine itself, for tests that break something.
    #[cfg(test)]
    pub(crate) fn sqlite(&self) -> &SqliteStore {
        match &self.engine {
            Engine::Sqlite(sqlite) => sqlite,
            Engine::Postgres(_) => panic!("it is another engine"),
        }
    }
}

#[cfg(test)]
mod tests;
