//! The SQLite database. A single connection does all work sequentially, because a database in memory can have only one connection
//! and no call takes long.

use std::error::Error as StdError;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use adapter::{Code, Error};
use parking_lot::Mutex;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::samples;

/// Maximum time that a write waits for another process that holds the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The connection. Clones share it.
#[derive(Clone)]
pub(crate) struct Database(Arc<Mutex<Connection>>);

/// The failure of work on the database.
pub(crate) enum ServiceFailure {
    /// The call is rejected.
    Refused(Code),
    /// The database or the result is broken. The text is for the log.
    Broken(String),
}

impl From<rusqlite::Error> for ServiceFailure {
    fn from(error: rusqlite::Error) -> ServiceFailure {
        ServiceFailure::Broken(error.to_string())
    }
}

impl From<ServiceFailure> for Error {
    fn from(failure: ServiceFailure) -> Error {
        match failure {
            ServiceFailure::Refused(code) => Error::refused(code),
            ServiceFailure::Broken(cause) => Error::refused(Code::InternalError).because(cause),
        }
    }
}

impl Database {
    /// Opens the file or an empty database in memory. An empty database gets sample data.
    pub(crate) fn open(file: Option<&Path>) -> Result<Database, Box<dyn StdError + Send + Sync>> {
        let mut connection = match file {
            Some(file) => {
                // Only the owner may read the messages. SQLite gives the WAL the mode of the file.
                OpenOptions::new()
                    .create(true)
                    .append(true)
                    .mode(0o600)
                    .open(file)?;
                Connection::open(file)?
            }
            None => Connection::open_in_memory()?,
        };
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // Committed changes survive the end of the process. A power failure may cost the sandbox the last second.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        let writing = begin(&mut connection)?;
        writing.execute_batch(include_str!("schema.sql"))?;
        samples::seed(&writing)?;
        writing.commit()?;
        Ok(Database(Arc::new(Mutex::new(connection))))
    }

    /// Runs a query on a thread that may block.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, ServiceFailure> + Send + 'static,
    ) -> Result<T, Error> {
        self.run(|connection| query(connection)).await
    }

    /// Runs a change in a transaction, also on a thread that may block. The change is durable once this returns without an error.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> Result<T, ServiceFailure> + Send + 'static,
    ) -> Result<T, Error> {
        self.run(|connection| {
            let writing = begin(connection)?;
            let result = change(&writing)?;
            writing.commit()?;
            Ok(result)
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, ServiceFailure> + Send + 'static,
    ) -> Result<T, Error> {
        let database = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&mut database.lock()));
        let result = done.await;
        let result = result.unwrap_or_else(|panic| Err(ServiceFailure::Broken(panic.to_string())));
        result.map_err(Error::from)
    }
}

/// Begins a transaction that takes the write lock immediately. A transaction that first reads could not wait for the lock later.
fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}
