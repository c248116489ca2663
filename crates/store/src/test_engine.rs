//! An engine for a test that every engine has to pass.

use crate::postgres::test_server::new_database;
use crate::{PostgresOptions, Store};

/// An engine with nothing in it.
pub(crate) enum TestEngine {
    Sqlite(tempfile::TempDir),
    Postgres(Box<PostgresOptions>),
}

impl TestEngine {
    pub(crate) async fn sqlite() -> Option<TestEngine> {
        Some(TestEngine::Sqlite(tempfile::tempdir().unwrap()))
    }

    /// Nothing where PostgreSQL is missing.
    pub(crate) async fn postgres() -> Option<TestEngine> {
        Some(TestEngine::Postgres(Box::new(new_database()?)))
    }

    /// Opens the store that is there, as a new process does.
    pub(crate) async fn open(&self) -> Store {
        let store = match self {
            TestEngine::Sqlite(folder) => Store::open(&folder.path().join("chatgate.db")).await,
            TestEngine::Postgres(options) => Store::open_postgres(options).await,
        };
        store.expect("the store opens")
    }
}

/// Makes a test for each engine of each function, which gets a [`TestEngine`].
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
