//! A store in one SQLite file: its parts, and the common paths by which its methods, which are in separate files, read and write.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use aws_lc_rs::hmac;
use rusqlite::{Connection, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::timeout;

use super::connection::{WriteConnection, open_for_writing};
use super::erasure::Pages;
use super::files::remove_copy;
use super::journal::JournalWriter;
use super::migrations::migrate;
use super::readers::Readers;
use super::receipts::move_receipts;
use super::snapshot::{read_accesses, read_admin_keys, read_last_uses};
use super::store_file::StoreFile;
use super::writer::{BEGIN_MAX, StoreWriter, timed_out};
use crate::StoreError;
use crate::memory::StoreMemory;

/// A store in one SQLite file.
pub(crate) struct SqliteStore {
    file: PathBuf,
    place: StoreFile,
    readers: Readers,
    writer: StoreWriter,
    memory: Arc<StoreMemory>,
    /// The key of the hashes of destinations and of idempotency keys.
    journal_key: hmac::Key,
    /// Held from before a change until its snapshot is in memory, so that an older snapshot never replaces a newer one.
    change: Arc<Mutex<()>>,
    /// Held while a copy is made, because a copy has a fixed file name.
    copying: Arc<Mutex<()>>,
    /// True if rows were deleted from the beginning of the journal, so that their remains in the file must be overwritten.
    edge_scrub_due: Arc<AtomicBool>,
    /// The raw file, which must be closed last.
    pages: Arc<Pages>,
}

impl SqliteStore {
    pub(crate) async fn open(file: &Path) -> Result<SqliteStore, StoreError> {
        let path = file.to_owned();
        let opened = tokio::task::spawn_blocking(|| SqliteStore::open_now(path)).await?;
        opened.map_err(|error| error.in_file(file))
    }

    fn open_now(file: PathBuf) -> Result<SqliteStore, StoreError> {
        // SQLite gives the WAL the mode of the file, so that it is enough to create the file with the right mode.
        let opened = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&file);
        opened.map_err(|error| {
            StoreError::new(format!(
                "{error}; the gateway's user has to be able to write this file and its folder"
            ))
        })?;
        let place = StoreFile::of(&file)?;
        remove_copy(&file)?;
        let pages = Arc::new(Pages::open(&file)?);
        let mut connection = open_for_writing(&file)?;
        migrate(&mut connection)?;
        let journal_key = read_journal_key(&connection)?;
        move_receipts(&mut connection, &journal_key)?;
        let accesses = read_accesses(&connection)?;
        let last_uses = read_last_uses(&connection, &accesses)?;
        let admin_keys = read_admin_keys(&connection)?;
        place.note_log();
        let memory = StoreMemory::new(accesses, admin_keys, last_uses);
        let writer = StoreWriter::start(
            WriteConnection::new(place.clone(), connection),
            JournalWriter::new(Arc::clone(&memory.journal), journal_key.clone()),
            Arc::clone(&pages),
        )?;
        Ok(SqliteStore {
            readers: Readers::new(file.clone()),
            file,
            place,
            writer,
            memory: Arc::new(memory),
            journal_key,
            change: Arc::default(),
            copying: Arc::default(),
            // The process before this one may have ended before it overwrote them.
            edge_scrub_due: Arc::new(AtomicBool::new(true)),
            pages,
        })
    }

    /// Closes the file after all running operations.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }

    /// Reads with a separate connection, concurrently with other work.
    ///
    /// # Errors
    /// The error of `read`, or an error because other reads take too long.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.readers.read(read).await
    }

    /// Writes in one transaction, which is on the disk when this returns.
    ///
    /// # Errors
    /// The error of `write`, or an error because the store can't be written or another write takes too long. Nothing has been
    /// written then.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.memory.journal.check_place()?;
        let write = move |connection: &mut WriteConnection| connection.within(write);
        self.writer.run(write).await
    }

    /// Returns the writer thread.
    pub(crate) fn writer(&self) -> &StoreWriter {
        &self.writer
    }

    /// Prevents other changes of accesses or keys until the guard is dropped.
    ///
    /// # Errors
    /// When another change takes too long because the store stalls, or the file is not at its path any more.
    pub(crate) async fn changing(&self) -> Result<OwnedMutexGuard<()>, StoreError> {
        self.memory.journal.check_place()?;
        let locked = timeout(BEGIN_MAX, Arc::clone(&self.change).lock_owned());
        locked.await.map_err(|_| timed_out())
    }

    /// Prevents other copies until the guard is dropped.
    pub(crate) async fn copying(&self) -> OwnedMutexGuard<()> {
        Arc::clone(&self.copying).lock_owned().await
    }

    pub(crate) fn memory(&self) -> &Arc<StoreMemory> {
        &self.memory
    }

    pub(crate) fn journal_key(&self) -> &hmac::Key {
        &self.journal_key
    }

    /// Checks whether the file is still at its path.
    pub(crate) async fn check_file(&self) {
        self.place.check(&self.memory.journal).await;
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    pub(crate) fn edge_scrub_due(&self) -> &Arc<AtomicBool> {
        &self.edge_scrub_due
    }

    pub(crate) fn pages(&self) -> &Arc<Pages> {
        &self.pages
    }
}

fn read_journal_key(connection: &Connection) -> Result<hmac::Key, StoreError> {
    let key = "SELECT material FROM keys WHERE purpose = 'journal' ORDER BY id DESC LIMIT 1";
    let material: Vec<u8> = connection.query_row(key, [], |row| row.get("material"))?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &material))
}

#[cfg(test)]
mod tests {
    use crate::{Access, ChangeAuthor, Store};

    #[tokio::test]
    async fn store_files_are_accessible_only_to_their_owner() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("chatgate.db"))
            .await
            .unwrap();
        store
            .put_accesses(ChangeAuthor::new("me", 7), &[Access::new("a", "u", "c")])
            .await
            .unwrap();
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let permissions = entry.unwrap().metadata().unwrap().permissions();
            assert_eq!(
                std::os::unix::fs::PermissionsExt::mode(&permissions) & 0o077,
                0
            );
        }
    }

    #[tokio::test]
    async fn the_error_names_a_store_file_that_cannot_be_created() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("no/such/chatgate.db");
        let error = Store::open(&file).await.err().unwrap().to_string();
        assert!(error.contains(file.to_str().unwrap()), "{error}");
        assert!(error.contains("able to write"), "{error}");
    }

    #[tokio::test]
    async fn later_transactions_succeed_after_sqlite_rolls_one_back_itself() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("chatgate.db"))
            .await
            .unwrap();
        // SQLite itself rolls back in this way when the disk is full.
        let broken = store
            .sqlite()
            .write(|transaction| Ok(transaction.execute_batch("ROLLBACK")?));
        assert!(broken.await.is_err());
        store
            .put_accesses(ChangeAuthor::new("me", 7), &[Access::new("a", "u", "c")])
            .await
            .unwrap();
    }
}
