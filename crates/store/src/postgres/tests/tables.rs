//! Tests of tables that are not up to date, or change while a replica runs.

use std::time::{Duration, Instant};

use tokio_postgres::types::Type;

use super::open;
use crate::postgres::test_server::new_database;
use crate::{PostgresOptions, Store};

#[tokio::test]
async fn an_outdated_or_too_new_database_is_rejected() {
    let Some(mut options) = new_database() else {
        return;
    };
    options.migrates = false;
    let error = Store::open_postgres(&options).await.err().unwrap();
    assert!(error.to_string().contains("chatgate migrate"), "{error}");
    options.migrates = true;
    let store = Store::open_postgres(&options).await.unwrap();
    options.migrates = false;
    Store::open_postgres(&options).await.unwrap();
    let newer = "UPDATE chatgate.deployment SET contract = 99";
    store.postgres().pool().write(newer, &[]).await.unwrap();
    let error = Store::open_postgres(&options).await.err().unwrap();
    assert!(
        error.to_string().contains("install the newer version"),
        "{error}"
    );
}

/// Takes the lock like the migrations of another process.
async fn other_migrator(options: &PostgresOptions) -> crate::postgres::session::PgSession {
    let connector =
        crate::postgres::connector::PgConnector::for_command(&options.direct_url).unwrap();
    let mut session = connector.connect().await.unwrap();
    let lock = "SELECT pg_advisory_lock($1)";
    session
        .query(lock, &[(&crate::postgres::migrations::LOCK, Type::INT8)])
        .await
        .unwrap();
    session
}

#[tokio::test]
async fn migrations_wait_for_another_process_without_a_database_lock_wait() {
    let Some(options) = new_database() else {
        return;
    };
    let mut other = other_migrator(&options).await;
    let mut opening = tokio::spawn(async move { Store::open_postgres(&options).await });
    let (began, held) = (Instant::now(), Duration::from_secs(3));
    while began.elapsed() < held {
        let waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        assert!(other.query(waits, &[]).await.unwrap().is_empty());
        let _ = tokio::time::timeout(Duration::from_millis(10), &mut opening).await;
        assert!(!opening.is_finished(), "it did not wait");
    }
    drop(other);
    opening.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_statement_succeeds_although_its_cached_plan_is_outdated() {
    let Some(options) = new_database() else {
        return;
    };
    let store = open(&options).await;
    let pool = store.postgres().pool();
    let (mut fresh, mut stale) = (pool.take().await.unwrap(), pool.take().await.unwrap());
    let prepare = "PREPARE facts AS SELECT * FROM chatgate.facts";
    stale.session.batch(prepare).await.unwrap();
    let add = "ALTER TABLE chatgate.facts ADD COLUMN more text";
    fresh.session.batch(add).await.unwrap();
    fresh.session.batch(prepare).await.unwrap();
    // The connection that was given back last is lent first.
    pool.return_connection(fresh);
    pool.return_connection(stale);
    assert!(pool.write("EXECUTE facts", &[]).await.unwrap().is_empty());
}
