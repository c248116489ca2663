//! The SQLite file: opening, migrating, reading accesses into the snapshot and writing them through it.

use std::borrow::Cow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use sqlx::Row;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::Mutex;

use crate::{Access, Accesses, backup};

/// How long a statement waits for another process's lock before it fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

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

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> StoreError {
        StoreError(error.to_string().into())
    }
}

/// The store of one gateway.
pub struct Store {
    file: PathBuf,
    writer: SqlitePool,
    accesses: ArcSwap<Accesses>,
    /// Held from before a change until its snapshot is in, so that an older snapshot never replaces a newer one.
    change: Mutex<()>,
    /// Held while a copy is made: there is one name for it.
    copying: Mutex<()>,
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
        let options = SqliteConnectOptions::new()
            .filename(file)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        // One connection writes: SQLite has one writer anyway, and waiting here beats failing there.
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options)
            .await?;
        refuse_old_sqlite(&writer).await?;
        migrator()
            .run(&writer)
            .await
            .map_err(|error| StoreError::new(error.to_string()))?;
        let accesses = ArcSwap::from_pointee(read_accesses(&writer).await?);
        Ok(Store {
            file: file.to_owned(),
            writer,
            accesses,
            change: Mutex::new(()),
            copying: Mutex::new(()),
        })
    }

    /// The accesses as they are now. Costs no lock.
    #[must_use]
    pub fn accesses(&self) -> Arc<Accesses> {
        self.accesses.load_full()
    }

    /// Puts accesses in the place of those with their names, all of them or none: on disk first, then for every request
    /// that begins after.
    ///
    /// # Errors
    /// When a user or client id belongs to another access, or the store can't be written.
    pub async fn put_accesses(&self, accesses: &[Access]) -> Result<(), StoreError> {
        let _change = self.change.lock().await;
        let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        for access in accesses {
            let document = serde_json::to_string(access)
                .map_err(|error| StoreError::new(error.to_string()))?;
            sqlx::query(
                "INSERT INTO accesses (name, user, client_id, document) VALUES (?, ?, ?, ?)
                 ON CONFLICT (name) DO UPDATE SET user = excluded.user,
                 client_id = excluded.client_id, document = excluded.document",
            )
            .bind(&access.name)
            .bind(&access.user)
            .bind(&access.client_id)
            .bind(document)
            .execute(&mut *transaction)
            .await?;
        }
        let accesses = read_accesses(&mut *transaction).await?;
        transaction.commit().await?;
        self.accesses.store(Arc::new(accesses));
        Ok(())
    }

    /// Closes the file after all that was begun.
    pub async fn close(&self) {
        self.writer.close().await;
    }

    pub(crate) fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    pub(crate) fn copying(&self) -> &Mutex<()> {
        &self.copying
    }
}

fn migrator() -> Migrator {
    let sql = sqlx::SqlSafeStr::into_sql_str(include_str!("migrations/0001_accesses_and_keys.sql"));
    Migrator::with_migrations(vec![Migration::new(
        1,
        "accesses and keys".into(),
        MigrationType::Simple,
        sql,
        false,
    )])
}

async fn read_accesses(executor: impl sqlx::SqliteExecutor<'_>) -> Result<Accesses, StoreError> {
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
mod tests {
    use super::*;

    fn access(name: &str, user: &str) -> Access {
        Access {
            name: name.to_owned(),
            user: user.to_owned(),
            client_id: format!("cga_{name}"),
            secrets: vec![crate::StoredSecret::Keyed("x".to_owned())],
            active: true,
            not_before: None,
            expires: Some(10),
            allow: vec!["127.0.0.0/8".parse().unwrap()],
            deny: Vec::new(),
            ways: vec!["http".to_owned()],
            methods: vec!["getchats".to_owned()],
            platforms: None,
            channels: None,
            rate: None,
        }
    }

    #[tokio::test]
    async fn accesses_and_keys_outlive_the_process_and_the_file_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chatgate.db");
        let store = Store::open(&file).await.unwrap();
        store.put_accesses(&[access("a", "u")]).await.unwrap();
        let key = store.key("secrets", 1, || Ok(vec![1, 2, 3])).await.unwrap();
        store.close().await;

        let store = Store::open(&file).await.unwrap();
        assert_eq!(
            store.accesses().of_user("u").map(|a| a.name.clone()),
            Some("a".to_owned())
        );
        assert_eq!(
            store.accesses().of_client("cga_a").map(|a| a.name.clone()),
            Some("a".to_owned())
        );
        assert_eq!(
            store.key("secrets", 1, || panic!("kept")).await.unwrap(),
            key
        );
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let mode = std::os::unix::fs::PermissionsExt::mode(
                &entry.unwrap().metadata().unwrap().permissions(),
            );
            assert_eq!(mode & 0o077, 0);
        }
    }

    #[tokio::test]
    async fn a_user_belongs_to_one_access() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("chatgate.db"))
            .await
            .unwrap();
        store.put_accesses(&[access("a", "u")]).await.unwrap();
        assert!(store.put_accesses(&[access("b", "u")]).await.is_err());
        store.put_accesses(&[access("a", "v")]).await.unwrap();
        assert!(store.accesses().of_user("u").is_none());
        assert_eq!(store.accesses().len(), 1);
    }

    #[test]
    fn liveness_is_half_open() {
        let mut access = access("a", "u");
        access.not_before = Some(5);
        assert_eq!(
            [4, 5, 9, 10].map(|now| access.is_live(now)),
            [false, true, true, false]
        );
    }
}
