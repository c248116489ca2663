//! The SQLite file: opening, migrating, reading accesses into the snapshot and writing them through it.

use std::borrow::Cow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::hmac;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{Connection, Row};
use tokio::sync::{Mutex, MutexGuard};

use crate::erasure::Pages;
use crate::journal::Pen;
use crate::last_use::{LastUses, read_last_uses};
use crate::receipts::move_receipts;
use crate::turn::{Held, TURN_MAX, Turn, Writer};
use crate::{Access, Accesses, AdminKey, Journal, backup};

/// How long a statement waits for another process's lock before it fails. Nobody but an operator's own tool ever has one.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(1);

/// Pages of the write-ahead log, 32 MiB, after which they go to the file: the journal writes the same ones again and
/// again, and at SQLite's own 1,000 a row costs half as much again. A restart reads them within its bound.
pub(crate) const WAL_PAGES: u32 = 8192;

/// Connections that read the journal for operators: a long search leaves room for others, and none holds up the writer.
const READERS_MAX: u32 = 4;

/// Oldest SQLite that may hold our data: versions before it can corrupt a WAL when it is reset.
const SQLITE_VERSION_MIN: (u32, u32, u32) = (3, 51, 3);

/// Why the store could not do it.
#[derive(Debug)]
pub struct StoreError(Cow<'static, str>);

impl StoreError {
    /// A failure outside SQL, said in one sentence.
    pub fn new(text: impl Into<Cow<'static, str>>) -> StoreError {
        StoreError(text.into())
    }
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "store: {}", self.0)
    }
}

impl std::error::Error for StoreError {}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> StoreError {
        StoreError(error.to_string().into())
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        StoreError(error.to_string().into())
    }
}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> StoreError {
        StoreError(error.to_string().into())
    }
}

/// The store of one gateway.
pub struct Store {
    file: PathBuf,
    writer: SqlitePool,
    reader: SqlitePool,
    /// Whose turn it is to write, be it by the pool of one above or by the pen below.
    turn: Turn,
    /// Locked by whoever has the turn.
    pen: std::sync::Mutex<Pen>,
    journal: Arc<Journal>,
    /// Under it the journal's destinations are hashed.
    journal_key: hmac::Key,
    accesses: ArcSwap<Accesses>,
    admin_keys: ArcSwap<Vec<AdminKey>>,
    last_uses: LastUses,
    /// Held from before a change until its snapshot is in, so that an older snapshot never replaces a newer one.
    change: Mutex<()>,
    /// Held while a copy is made: there is one name for it.
    copying: Mutex<()>,
    /// Whether rows went from the beginning of the journal, and what is left of them in the file has to be overwritten.
    edges_due: AtomicBool,
    /// Closed last of all.
    pages: Pages,
}

impl Store {
    /// Opens or makes the file, readable by its owner only, brings it up to date and reads all accesses.
    ///
    /// # Errors
    /// When the file can't be opened or is no store of ours.
    pub async fn open(file: &Path) -> Result<Store, StoreError> {
        // SQLite gives the WAL the mode of the file, so that making the file first is enough.
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(file)?;
        backup::clear(file)?;
        let pages = Pages::open(file)?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // What is deleted was said by somebody, or opens something: it is overwritten.
            .pragma("secure_delete", "ON")
            .pragma("wal_autocheckpoint", WAL_PAGES.to_string())
            .busy_timeout(BUSY_TIMEOUT);
        // One connection writes, and takes turns with the journal's own.
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(TURN_MAX)
            .after_release(|connection, _| Box::pin(is_fit(connection)))
            .connect_with(options.clone())
            .await?;
        refuse_old_sqlite(&writer).await?;
        migrator()
            .run(&writer)
            .await
            .map_err(|error| StoreError::new(error.to_string()))?;
        let journal_key = read_journal_key(&writer).await?;
        move_receipts(&mut *writer.acquire().await?, &journal_key).await?;
        let accesses = ArcSwap::from_pointee(read_accesses(&writer).await?);
        let admin_keys = ArcSwap::from_pointee(Store::read_admin_keys(&writer).await?);
        let last_uses = read_last_uses(&writer).await?;
        let reader = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(TURN_MAX)
            .connect_lazy_with(options.read_only(true));
        Ok(Store {
            file: file.to_owned(),
            turn: Turn::default(),
            pen: std::sync::Mutex::new(Pen::new(file.to_owned(), journal_key.clone())),
            journal_key,
            writer,
            reader,
            journal: Arc::new(Journal::new()),
            accesses,
            admin_keys,
            last_uses,
            change: Mutex::new(()),
            copying: Mutex::new(()),
            edges_due: AtomicBool::new(false),
            pages,
        })
    }

    /// The accesses as they are now. Costs no lock.
    #[must_use]
    pub fn accesses(&self) -> Arc<Accesses> {
        self.accesses.load_full()
    }

    /// The keys of operators as they are now. Costs no lock.
    #[must_use]
    pub fn admin_keys(&self) -> Arc<Vec<AdminKey>> {
        self.admin_keys.load_full()
    }

    /// What happens is told here; it is in the file a moment later.
    #[must_use]
    pub fn journal(&self) -> &Arc<Journal> {
        &self.journal
    }

    /// Closes the file after all that was begun.
    pub async fn close(&self) {
        // A pen that a stalled disk still holds can't be waited for.
        if let Ok(mut pen) = self.pen.try_lock() {
            pen.close();
        }
        self.reader.close().await;
        self.writer.close().await;
    }

    pub(crate) async fn changing(&self) -> MutexGuard<'_, ()> {
        self.change.lock().await
    }

    pub(crate) fn swap_accesses(&self, accesses: Accesses) {
        self.accesses.store(Arc::new(accesses));
    }

    pub(crate) async fn reload_admin_keys(&self) -> Result<(), StoreError> {
        let keys = Store::read_admin_keys(&self.writer).await?;
        self.admin_keys.store(Arc::new(keys));
        Ok(())
    }

    pub(crate) fn last_uses(&self) -> &LastUses {
        &self.last_uses
    }

    /// The turn to write, and the connection for it.
    pub(crate) async fn writer(&self) -> Result<Writer<'_>, StoreError> {
        self.turn.writer(&self.writer).await
    }

    /// The turn to write with the pen.
    pub(crate) async fn turn(&self) -> Result<Held<'_>, StoreError> {
        self.turn.take().await
    }

    /// The journal's own connection. Only with the turn.
    pub(crate) fn pen(&self) -> std::sync::MutexGuard<'_, Pen> {
        // A transaction that was broken off is rolled back by now.
        self.pen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn reader(&self) -> &SqlitePool {
        &self.reader
    }

    pub(crate) fn journal_key(&self) -> &hmac::Key {
        &self.journal_key
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// SQLite's write-ahead log of the file.
    pub(crate) fn log_file(&self) -> PathBuf {
        let mut name = self.file.clone().into_os_string();
        name.push("-wal");
        name.into()
    }

    pub(crate) fn edges_due(&self) -> &AtomicBool {
        &self.edges_due
    }

    pub(crate) fn pages(&self) -> &Pages {
        &self.pages
    }

    pub(crate) fn copying(&self) -> &Mutex<()> {
        &self.copying
    }
}

fn migrator() -> Migrator {
    let steps = [
        (
            1,
            "accesses and keys",
            include_str!("migrations/0001_accesses_and_keys.sql"),
        ),
        (
            2,
            "changes and admin keys",
            include_str!("migrations/0002_changes_and_admin_keys.sql"),
        ),
        (3, "journal", include_str!("migrations/0003_journal.sql")),
        (
            4,
            "daily counts and last uses",
            include_str!("migrations/0004_daily_counts_and_last_uses.sql"),
        ),
        (5, "receipts", include_str!("migrations/0005_receipts.sql")),
        (
            6,
            "cheaper status index",
            include_str!("migrations/0006_cheaper_status_index.sql"),
        ),
        (
            7,
            "counted rows",
            include_str!("migrations/0007_counted_rows.sql"),
        ),
        (
            8,
            "receipts and scrubbing",
            include_str!("migrations/0008_receipts_and_scrubbing.sql"),
        ),
        (10, "facts", include_str!("migrations/0010_facts.sql")),
    ];
    let migrations = steps.into_iter().map(|(version, what, sql)| {
        let sql = sqlx::SqlSafeStr::into_sql_str(sql);
        Migration::new(version, what.into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.collect())
}

/// Whether a connection can be used again. SQLite rolls back by itself when the disk is full; sqlx, whose own attempt fails
/// then, would take every later transaction for a part of the one that is over.
async fn is_fit(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    // What was begun comes first, such as rolling back.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

async fn read_journal_key(pool: &SqlitePool) -> Result<hmac::Key, StoreError> {
    let row =
        sqlx::query("SELECT material FROM keys WHERE purpose = 'journal' ORDER BY id DESC LIMIT 1")
            .fetch_one(pool)
            .await?;
    let material: Vec<u8> = row.try_get("material")?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &material))
}

pub(crate) async fn read_accesses(
    executor: impl sqlx::SqliteExecutor<'_>,
) -> Result<Accesses, StoreError> {
    let rows = sqlx::query("SELECT name, document FROM accesses ORDER BY name")
        .fetch_all(executor)
        .await?;
    rows.iter()
        .map(|row| {
            serde_json::from_str::<Access>(row.try_get("document")?).map_err(|error| {
                let name: String = row.try_get("name").unwrap_or_default();
                StoreError::new(format!("the access {name} can't be read: {error}"))
            })
        })
        .collect()
}

async fn refuse_old_sqlite(pool: &SqlitePool) -> Result<(), StoreError> {
    let text: String = sqlx::query("SELECT sqlite_version()")
        .fetch_one(pool)
        .await?
        .try_get(0)?;
    let mut numbers = text.split('.').map(|number| number.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    if (next(), next(), next()) < SQLITE_VERSION_MIN {
        return Err(StoreError::new(format!(
            "SQLite {text} can corrupt a WAL; at least 3.51.3 is needed"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
