//! Opens the store's file, and defines the one connection that writes it.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::store_file::StoreFile;
use crate::StoreError;

/// Time that a statement waits for another process's lock before it fails. Only an operator's own tool ever holds such a lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// Number of pages in the write-ahead log, 32 MiB, after which SQLite makes a checkpoint. The journal writes the same pages many
/// times, and with SQLite's default of 1,000 pages a row costs half as much again. A restart reads such a log within its time
/// limit.
const WAL_PAGES: u32 = 8192;

/// Size of the page cache of the writing connection, in SQLite's notation for kibibytes: enough for the ends of all indexes of the
/// journal.
const CACHE_KIB: i32 = -4_096;

/// Number of prepared statements that a connection caches: more than the store has, so that the journal's statements are never
/// evicted.
const STATEMENTS_MAX: usize = 64;

/// The oldest SQLite version that may hold our data, 3.51.3, because older versions can corrupt a WAL when it is reset.
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// Opens a connection that writes and that overwrites deleted data.
///
/// # Errors
/// When the file can't be opened.
pub(crate) fn open_for_writing(file: &Path) -> Result<Connection, StoreError> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        let text = rusqlite::version();
        return Err(StoreError::new(format!(
            "SQLite {text} can corrupt a WAL; at least 3.51.3 is needed"
        )));
    }
    let connection = open(file, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", CACHE_KIB)?;
    // Deleted data may be private text or a key, so that SQLite must overwrite it.
    connection.pragma_update_and_check(None, "secure_delete", true, |_| Ok(()))?;
    connection.pragma_update_and_check(None, "wal_autocheckpoint", WAL_PAGES, |_| Ok(()))?;
    Ok(connection)
}

/// Opens a connection that only reads.
///
/// # Errors
/// When the file can't be opened.
pub(crate) fn open_for_reading(file: &Path) -> Result<Connection, StoreError> {
    open(file, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Opens a connection without SQLite's mutex, because only one thread at a time uses a connection.
fn open(file: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(file, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    Ok(connection)
}

/// The connection for all writes.
pub(crate) struct WriteConnection {
    file: StoreFile,
    /// The open connection; absent after a transaction that could not be ended. The next write opens a new one.
    connection: Option<Connection>,
}

impl WriteConnection {
    pub(super) fn new(file: StoreFile, connection: Connection) -> WriteConnection {
        WriteConnection {
            file,
            connection: Some(connection),
        }
    }

    fn connection(&mut self) -> Result<&mut Connection, StoreError> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => open_for_writing(self.file.path())?,
        };
        Ok(self.connection.insert(connection))
    }

    /// Returns the path of the store's file.
    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Runs `write` in one transaction.
    ///
    /// # Errors
    /// The error of `write`, or an error because the store can't be written. Nothing has been written then.
    pub(crate) fn within<T, E: From<StoreError> + From<rusqlite::Error>>(
        &mut self,
        write: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let connection = self.connection()?;
        let written = in_transaction(connection, write);
        // A failed transaction has been rolled back by now, by SQLite itself or by its guard. If the rollback failed as well, the
        // next write must not become part of the failed transaction.
        if !connection.is_autocommit() {
            self.connection = None;
            self.file.forget_log();
        }
        written
    }

    /// The connection itself, for tests that break something.
    #[cfg(test)]
    pub(crate) fn raw(&mut self) -> &mut Connection {
        self.connection().unwrap()
    }
}

/// Runs `write` in one transaction of this connection.
///
/// # Errors
/// The error of `write`, or an error because the store can't be written. Nothing has been written then.
pub(crate) fn in_transaction<T, E: From<rusqlite::Error>>(
    connection: &mut Connection,
    write: impl FnOnce(&Transaction<'_>) -> Result<T, E>,
) -> Result<T, E> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let written = write(&transaction)?;
    transaction.commit()?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use rusqlite::types::Value;

    use super::*;

    #[test]
    fn the_writing_connection_syncs_commits_and_overwrites_deleted_data() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let connection = open_for_writing(file.path()).unwrap();
        for (pragma, expected) in [
            ("journal_mode", Value::Text("wal".to_owned())),
            // 2 is FULL: a commit returns when its part of the log is on the disk.
            ("synchronous", Value::Integer(2)),
            ("foreign_keys", Value::Integer(1)),
            ("secure_delete", Value::Integer(1)),
            ("wal_autocheckpoint", Value::Integer(WAL_PAGES.into())),
        ] {
            let value = connection.pragma_query_value(None, pragma, |row| row.get(0));
            assert_eq!(value, Ok(expected), "{pragma}");
        }
        let reads = open_for_reading(file.path()).unwrap();
        assert!(reads.execute_batch("CREATE TABLE t (a)").is_err());
    }
}
