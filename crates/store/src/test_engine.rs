//! The engines for tests that every engine must pass.

use crate::postgres::test_server::new_database;
use crate::{PostgresOptions, Store};

/// An engine with an empty store.
pub(crate) enum TestEngine {
    Sqlite(tempfile::TempDir),
    Postgres(Box<PostgresOptions>),
}

impl TestEngine {
    pub(crate) async fn sqlite() -> Option<TestEngine> {
        Some(TestEngine::Sqlite(tempfile::tempdir().unwrap()))
    }

    /// Makes a PostgreSQL engine; `None` if PostgreSQL is not installed.
    pub(crate) async fn postgres() -> Option<TestEngine> {
        Some(TestEngine::Postgres(Box::new(new_database()?)))
    }

    /// Opens the existing store, as a new process does.
    pub(crate) async fn open(&self) -> Store {
        let store = match self {
            TestEngine::Sqlite(folder) => Store::open(&folder.path().join("chatgate.db")).await,
            TestEngine::Postgres(options) => Store::open_postgres(options).await,
        };
        store.expect("the store opens")
    }
}

/// A lock that makes every write wait until it is dropped.
pub(crate) enum WriteLock {
    Sqlite(#[expect(dead_code, reason = "it is held")] rusqlite::Connection),
    Postgres(#[expect(dead_code, reason = "it is held")] tokio_postgres::Client),
}

impl TestEngine {
    /// Makes every write of the journal and of receipts wait until the lock is dropped.
    pub(crate) async fn lock(&self) -> WriteLock {
        match self {
            TestEngine::Sqlite(folder) => {
                let connection = rusqlite::Connection::open(folder.path().join("chatgate.db"));
                let connection = connection.unwrap();
                connection.execute_batch("BEGIN IMMEDIATE").unwrap();
                WriteLock::Sqlite(connection)
            }
            TestEngine::Postgres(options) => {
                let client = connect(options).await;
                let lock = "BEGIN; LOCK TABLE chatgate.intents, chatgate.receipts, chatgate.journal IN EXCLUSIVE MODE";
                client.batch_execute(lock).await.unwrap();
                WriteLock::Postgres(client)
            }
        }
    }

    /// Makes every write fail, or succeed again.
    pub(crate) async fn read_only(&self, store: &Store, on: bool) {
        match self {
            TestEngine::Sqlite(_) => {
                let set = move |connection: &mut crate::sqlite::WriteConnection| {
                    let set = connection.raw().pragma_update(None, "query_only", on);
                    Ok::<_, crate::StoreError>(set?)
                };
                store.sqlite().writer().run(set).await.unwrap();
            }
            TestEngine::Postgres(options) => {
                let client = connect(options).await;
                // Each batch is a transaction, which has the mode that its session had at the start.
                let writes = "SET default_transaction_read_only = off";
                client.batch_execute(writes).await.unwrap();
                let set = format!(
                    "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = {on}', current_database()); END $$"
                );
                client.batch_execute(&set).await.unwrap();
                // Existing sessions keep their old mode, so that they must have ended before this returns.
                let set = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
                     WHERE datname = current_database() AND pid <> pg_backend_pid()";
                client.batch_execute(set).await.unwrap();
            }
        }
    }

    /// Executes a statement without values over a separate connection.
    pub(crate) async fn execute(&self, sql: &str) {
        match self {
            TestEngine::Sqlite(folder) => {
                let connection = rusqlite::Connection::open(folder.path().join("chatgate.db"));
                connection.unwrap().execute_batch(sql).unwrap();
            }
            TestEngine::Postgres(options) => {
                let client = connect(options).await;
                let sql = format!("SET search_path = chatgate; {sql}");
                client.batch_execute(&sql).await.unwrap();
            }
        }
    }

    /// Returns whether the store contains this text anywhere.
    pub(crate) async fn holds(&self, text: &str) -> bool {
        match self {
            TestEngine::Sqlite(folder) => {
                let entries = std::fs::read_dir(folder.path()).unwrap();
                entries.into_iter().any(|entry| {
                    let bytes = std::fs::read(entry.unwrap().path()).unwrap();
                    String::from_utf8_lossy(&bytes).contains(text)
                })
            }
            TestEngine::Postgres(options) => {
                let client = connect(options).await;
                let tables = [
                    "intents",
                    "receipts",
                    "journal",
                    "journal_payload",
                    "changes",
                    "events",
                    "event_chats",
                    "event_messages",
                ];
                for table in tables {
                    let find = format!(
                        "SELECT count(*) FROM chatgate.{table} t WHERE position($1 IN t::text) > 0"
                    );
                    let found: i64 = client.query_one(&find, &[&text]).await.unwrap().get(0);
                    if found > 0 {
                        return true;
                    }
                }
                false
            }
        }
    }
}

/// Opens a connection that does not belong to the store.
pub(crate) async fn connect(options: &PostgresOptions) -> tokio_postgres::Client {
    let mut config = options.url.config().clone();
    config.target_session_attrs(tokio_postgres::config::TargetSessionAttrs::Any);
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// Makes one test per engine for each function, which gets a [`TestEngine`].
macro_rules! on_every_engine {
    ($($test:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $test() {
                if let Some(engine) = $crate::test_engine::TestEngine::sqlite().await { super::$test(engine).await; }
            })*
        }
        mod postgres {
            $(#[tokio::test] async fn $test() {
                if let Some(engine) = $crate::test_engine::TestEngine::postgres().await { super::$test(engine).await; }
            })*
        }
    };
}

pub(crate) use on_every_engine;
