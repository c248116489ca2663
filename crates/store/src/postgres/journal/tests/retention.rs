//! Tests of clearing while others use the cleared tables.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::{PATIENCE, Replica, database, row, until_waiting};
use crate::journal::row::first_id_at;
use crate::postgres::lease::now_ms;
use crate::test_engine::connect;
use crate::{JournalKind, JournalRow, PostgresOptions, Retention, StoreError};

const DAY_MS: i64 = 86_400_000;

/// Clears rows older than this number of days.
async fn clear(replica: &Replica, at_ms: i64, days: u64) -> Result<(), StoreError> {
    let retention = Retention {
        rows: Duration::from_secs(days * 86_400),
        payloads: Duration::from_secs(days * 86_400),
        bytes: u64::MAX,
    };
    replica.store.clear_old(at_ms, &retention).await
}

/// Starts a replica with a row in each of three days that have partitions.
async fn with_three_days(options: &PostgresOptions) -> Replica {
    let replica = Replica::start(options).await;
    let first_ms = row().at_ms;
    clear(&replica, first_ms, 100).await.unwrap();
    for day in 0..3 {
        replica.journal.add(JournalRow {
            at_ms: first_ms + day * DAY_MS,
            ..row()
        });
    }
    replica.journal.flush().await.unwrap();
    replica
}

#[tokio::test]
async fn a_locked_day_does_not_prevent_other_days_from_being_cleared() {
    let Some(options) = database().await else {
        return;
    };
    let replica = with_three_days(&options).await;
    let reader = connect(&options).await;
    let name = format!("chatgate.journal_d{}", row().at_ms / DAY_MS);
    let read = format!("BEGIN; SELECT count(*) FROM {name}");
    reader.batch_execute(&read).await.unwrap();
    let now_ms = row().at_ms + 4 * DAY_MS;
    let error = clear(&replica, now_ms, 1).await.unwrap_err().to_string();
    assert!(error.contains("lock"), "{error}");
    reader.batch_execute("COMMIT").await.unwrap();
    let rows = replica.rows().await;
    let kinds: Vec<_> = rows.iter().map(|row| row.kind).collect();
    assert_eq!(kinds, [JournalKind::Request, JournalKind::Clearing]);
    let cause = rows[1].cause.as_deref();
    assert_eq!(cause, Some("2 rows and 0 payloads, by age"));
    clear(&replica, now_ms, 1).await.unwrap();
    let cause = replica.rows().await.pop().unwrap().cause;
    assert_eq!(cause.as_deref(), Some("1 rows and 0 payloads, by age"));
}

#[tokio::test]
async fn old_days_are_cleared_even_if_new_days_cannot_be_created() {
    let Some(options) = database().await else {
        return;
    };
    let replica = with_three_days(&options).await;
    // A table occupies the range of the next day that would be made.
    let from = (row().at_ms / DAY_MS + 9) * DAY_MS;
    let table = format!(
        "CREATE TABLE chatgate.in_the_way PARTITION OF chatgate.journal FOR VALUES FROM ({}) TO ({})",
        first_id_at(from),
        first_id_at(from + DAY_MS),
    );
    connect(&options).await.batch_execute(&table).await.unwrap();
    let now_ms = row().at_ms + 4 * DAY_MS;
    let error = clear(&replica, now_ms, 1).await.unwrap_err().to_string();
    assert!(error.contains("overlap"), "{error}");
    let rows = replica.rows().await;
    let causes: Vec<_> = rows.iter().map(|row| row.cause.as_deref()).collect();
    assert_eq!(causes, [Some("3 rows and 0 payloads, by age")]);
}

#[tokio::test]
async fn callers_do_not_wait_for_a_clearing() {
    let Some(options) = database().await else {
        return;
    };
    let options = PostgresOptions {
        connections: 1,
        ..options
    };
    let replica = Replica::start(&options).await;
    let slow = connect(&options).await;
    let lock = "BEGIN; LOCK TABLE chatgate.journal IN ACCESS EXCLUSIVE MODE";
    slow.batch_execute(lock).await.unwrap();
    let retention = Retention {
        rows: Duration::MAX,
        payloads: Duration::MAX,
        bytes: u64::MAX,
    };
    let store = Arc::clone(&replica.store);
    let clearing = tokio::spawn(async move { store.clear_surplus(now_ms(), &retention).await });
    until_waiting(&options, "journal").await;
    replica.store.changes("nobody", 1).await.unwrap();
    slow.batch_execute("COMMIT").await.unwrap();
    timeout(PATIENCE, clearing).await.unwrap().unwrap().unwrap();
}
