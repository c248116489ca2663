//! The store of one gateway. Each method is in the file of its subject, and calls the engine.

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

/// The engine that stores the data. Each engine has its own queries, because each is fast at different things.
pub(crate) enum Engine {
    /// One file for one process.
    Sqlite(Box<SqliteStore>),
    /// One database for several replicas.
    Postgres(Arc<PostgresStore>),
}

impl Store {
    /// Opens or creates the file, which only its owner can read, brings it up to date and reads all accesses.
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
    /// When the database can't be reached or changed, a newer program has changed it, or its keys can't be unsealed.
    pub async fn open_postgres(options: &PostgresOptions) -> Result<Store, StoreError> {
        let postgres = Arc::new(PostgresStore::open(options).await?);
        start_heartbeat(&postgres);
        Ok(Store {
            memory: Arc::clone(postgres.memory()),
            engine: Engine::Postgres(postgres),
        })
    }

    /// Returns the current accesses without taking a lock.
    #[must_use]
    pub fn accesses(&self) -> Arc<Accesses> {
        self.memory.accesses.load_full()
    }

    /// Returns the current keys of operators without taking a lock.
    #[must_use]
    pub fn admin_keys(&self) -> Arc<Vec<AdminKey>> {
        self.memory.admin_keys.load_full()
    }

    /// Returns the journal, which takes rows immediately and writes them to the disk a moment later.
    #[must_use]
    pub fn journal(&self) -> &Arc<Journal> {
        &self.memory.journal
    }

    /// Returns the store's file; `None` if the store is in a database.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.engine {
            Engine::Sqlite(sqlite) => Some(sqlite.file()),
            Engine::Postgres(_) => None,
        }
    }

    /// Returns the number of connections for lookups and changes; `None` if the store is in a file.
    #[must_use]
    pub fn connections(&self) -> Option<StoreConnections> {
        match &self.engine {
            Engine::Sqlite(_) => None,
            Engine::Postgres(postgres) => Some(postgres.connections()),
        }
    }

    /// Checks whether the store's file is still at its path. While it is not, the journal reports trouble, and nothing that must be
    /// on the disk is begun or changed. Does nothing for a store in a database.
    pub async fn check_file(&self) {
        if let Engine::Sqlite(sqlite) = &self.engine {
            sqlite.check_file().await;
        }
    }

    /// Closes the store after all running operations.
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

    /// Returns the engine itself, for tests of features that only this engine has.
    #[cfg(test)]
    pub(crate) fn postgres(&self) -> &PostgresStore {
        match &self.engine {
            Engine::Sqlite(_) => panic!("it is another engine"),
            Engine::Postgres(postgres) => postgres,
        }
    }

    /// Returns the engine itself, for tests that break something.
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
