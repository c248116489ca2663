//! Tests of an erasure while others write.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{PATIENCE, Replica, claim, database, sent, sent_row, until, until_waiting};
use crate::postgres::lease::now_ms;
use crate::test_engine::{TestEngine, connect};
use crate::{ErasureError, JournalPayload, JournalRow, OpenResult, PostgresOptions};

const DESTINATION: &str = "34600111222";

/// A time longer than a statement may take while a caller waits for it.
const BEYOND_STATEMENTS: Duration = Duration::from_secs(4);

/// A time longer than an erasure waits for the rows of other replicas.
const BEYOND_LATE: Duration = Duration::from_secs(7);

/// Returns a row that contains the destination.
fn said(row: JournalRow) -> JournalRow {
    JournalRow {
        at_ms: now_ms(),
        payload: JournalPayload {
            destination: Some(DESTINATION.to_owned()),
            parameters: Some("canary".to_owned()),
            answer: Some(format!("canary {DESTINATION}")),
        },
        ..row
    }
}

fn erasing(replica: &Replica) -> JoinHandle<Result<u64, ErasureError>> {
    let store = Arc::clone(&replica.store);
    tokio::spawn(async move {
        store
            .erase_destination(("ann", now_ms()), DESTINATION)
            .await
    })
}

#[tokio::test]
async fn an_erasure_includes_sends_in_progress_and_queued_rows() {
    let Some(options) = database().await else {
        return;
    };
    let (sender, eraser) = (
        Replica::start(&options).await,
        Replica::start(&options).await,
    );
    let opened = sender
        .journal
        .open(said(sent_row()), Some(claim("k")), Instant::now())
        .await;
    let OpenResult::Intent(intent) = opened.unwrap() else {
        panic!("it can be claimed")
    };
    let mut erasing = erasing(&eraser);
    // The erasure does not end before the send under way has ended.
    let early = timeout(BEYOND_STATEMENTS, &mut erasing).await;
    // This row waited in the queue of its replica.
    sender.journal.add(said(JournalRow::default()));
    sender.journal.flush().await.unwrap();
    drop(intent.settle(said(sent_row()), sent()));
    sender.journal.flush().await.unwrap();
    let erased = match early {
        Ok(erased) => erased,
        Err(_) => timeout(PATIENCE, erasing).await.unwrap(),
    };
    assert!(erased.unwrap().unwrap() >= 2);
    let engine = TestEngine::Postgres(Box::new(options));
    assert!(!engine.holds("canary").await);
}

#[tokio::test]
async fn an_erasure_waits_for_a_send_that_begins_while_it_searches() {
    let Some(options) = database().await else {
        return;
    };
    let replica = Replica::start(&options).await;
    let slow = connect(&options).await;
    let lock = "BEGIN; LOCK TABLE chatgate.journal_payload IN ACCESS EXCLUSIVE MODE";
    slow.batch_execute(lock).await.unwrap();
    let mut erasing = erasing(&replica);
    until_waiting(&options, "journal_payload").await;
    let opened = replica
        .journal
        .open(said(sent_row()), None, Instant::now())
        .await;
    let OpenResult::Intent(intent) = opened.unwrap() else {
        panic!("no key was claimed")
    };
    slow.batch_execute("COMMIT").await.unwrap();
    let early = timeout(Duration::from_secs(1), &mut erasing).await;
    assert!(early.is_err(), "{early:?}");
    intent.close(said(sent_row()));
    timeout(PATIENCE, erasing).await.unwrap().unwrap().unwrap();
    let engine = TestEngine::Postgres(Box::new(options));
    assert!(!engine.holds("canary").await);
}

#[tokio::test]
async fn an_erasure_waits_for_a_send_whose_row_another_replica_writes_late() {
    let Some(options) = database().await else {
        return;
    };
    let (sender, eraser) = (
        Replica::start(&options).await,
        Replica::start(&options).await,
    );
    let client = connect(&options).await;
    let earlier =
        format!("INSERT INTO chatgate.journal_payload (id, answer) VALUES (1, '{DESTINATION}')");
    client.batch_execute(&earlier).await.unwrap();
    let slow = connect(&options).await;
    let lock = "BEGIN; LOCK TABLE chatgate.intents IN EXCLUSIVE MODE";
    slow.batch_execute(lock).await.unwrap();
    let journal = Arc::clone(&sender.journal);
    let opening =
        tokio::spawn(async move { journal.open(said(sent_row()), None, Instant::now()).await });
    until_waiting(&options, "intents").await;
    let mut erasing = erasing(&eraser);
    until(async || {
        let earlier = "SELECT count(*) FROM chatgate.journal_payload";
        let earlier: i64 = client.query_one(earlier, &[]).await.unwrap().get(0);
        (earlier == 0).then_some(())
    })
    .await;
    slow.batch_execute("COMMIT").await.unwrap();
    let OpenResult::Intent(intent) = opening.await.unwrap().unwrap() else {
        panic!("no key was claimed")
    };
    let early = timeout(BEYOND_LATE, &mut erasing).await;
    assert!(early.is_err(), "{early:?}");
    intent.close(said(sent_row()));
    timeout(PATIENCE, erasing).await.unwrap().unwrap().unwrap();
    let engine = TestEngine::Postgres(Box::new(options));
    assert!(!engine.holds("canary").await);
}

#[tokio::test]
async fn an_erasure_may_take_longer_than_other_statements() {
    let Some(options) = database().await else {
        return;
    };
    let replica = Replica::start(&options).await;
    replica.journal.add(said(JournalRow::default()));
    replica.journal.flush().await.unwrap();
    let slow = connect(&options).await;
    let lock = "BEGIN; LOCK TABLE chatgate.journal_payload IN ACCESS EXCLUSIVE MODE";
    slow.batch_execute(lock).await.unwrap();
    let mut erasing = erasing(&replica);
    let early = timeout(BEYOND_STATEMENTS, &mut erasing).await;
    assert!(early.is_err(), "{early:?}");
    slow.batch_execute("COMMIT").await.unwrap();
    assert_eq!(
        timeout(PATIENCE, erasing).await.unwrap().unwrap().unwrap(),
        1
    );
}

#[tokio::test]
async fn an_erasure_deletes_each_batch_before_it_reads_the_next() {
    let Some(options) = database().await else {
        return;
    };
    let replica = Replica::start(&options).await;
    let client = connect(&options).await;
    // Two reads find these rows. The first deletion adds a row, which only a later read finds.
    let rows = format!(
        "INSERT INTO chatgate.journal_payload (id, answer)
             SELECT id, 'canary {DESTINATION}' FROM generate_series(1, 6000) id;
         CREATE FUNCTION chatgate.adds() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO chatgate.journal_payload (id, answer) SELECT 7000, 'canary {DESTINATION}'
             WHERE EXISTS (SELECT FROM chatgate.journal_payload WHERE id = 6000) ON CONFLICT DO NOTHING;
             RETURN NULL;
         END $$;
         CREATE TRIGGER adds AFTER DELETE ON chatgate.journal_payload EXECUTE FUNCTION chatgate.adds()"
    );
    client.batch_execute(&rows).await.unwrap();
    let erased = timeout(PATIENCE, erasing(&replica)).await.unwrap();
    assert_eq!(erased.unwrap().unwrap(), 6001);
    let engine = TestEngine::Postgres(Box::new(options));
    assert!(!engine.holds("canary").await);
}

#[tokio::test]
async fn callers_do_not_wait_for_an_erasure() {
    let Some(options) = database().await else {
        return;
    };
    let options = PostgresOptions {
        connections: 1,
        ..options
    };
    let replica = Replica::start(&options).await;
    let slow = connect(&options).await;
    let lock = "BEGIN; LOCK TABLE chatgate.journal_payload IN ACCESS EXCLUSIVE MODE";
    slow.batch_execute(lock).await.unwrap();
    let erasing = erasing(&replica);
    until_waiting(&options, "journal_payload").await;
    replica.store.changes("nobody", 1).await.unwrap();
    slow.batch_execute("COMMIT").await.unwrap();
    timeout(PATIENCE, erasing).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_repeated_erasure_vacuums_the_remains_of_a_failed_one() {
    let Some(options) = database().await else {
        return;
    };
    let replica = Replica::start(&options).await;
    replica.journal.add(said(JournalRow::default()));
    replica.journal.flush().await.unwrap();
    let client = connect(&options).await;
    let rename = "ALTER TABLE chatgate.changes RENAME TO elsewhere";
    client.batch_execute(rename).await.unwrap();
    let failed = timeout(PATIENCE, erasing(&replica)).await.unwrap().unwrap();
    assert!(failed.unwrap_err().to_string().contains("changes"));
    let rename = "ALTER TABLE chatgate.elsewhere RENAME TO changes";
    client.batch_execute(rename).await.unwrap();
    let again = timeout(PATIENCE, erasing(&replica)).await.unwrap().unwrap();
    // The first erasure deleted the row.
    assert_eq!(again.unwrap(), 0);
    let vacuums = "SELECT count(*) FROM pg_stat_all_tables
        WHERE schemaname = 'chatgate' AND relname ~ '^journal_payload_d' AND vacuum_count > 0";
    let vacuums: i64 = client.query_one(vacuums, &[]).await.unwrap().get(0);
    assert!(vacuums > 0);
}

#[tokio::test]
async fn an_erasure_waits_for_rows_that_a_live_replica_cannot_write_yet() {
    let Some(options) = database().await else {
        return;
    };
    let (other, eraser) = (
        Replica::start(&options).await,
        Replica::start(&options).await,
    );
    let slow = connect(&options).await;
    let lock = "BEGIN; LOCK TABLE chatgate.tallies IN ACCESS EXCLUSIVE MODE";
    slow.batch_execute(lock).await.unwrap();
    let mut late = said(JournalRow::default());
    // The row has waited for longer than rows usually do.
    late.at_ms -= 60_000;
    other.journal.add(late);
    until_waiting(&options, "tallies").await;
    let client = connect(&options).await;
    until(async || {
        let reported = "SELECT count(*) FROM chatgate.replicas
            WHERE (figures->>'written_to_ms')::bigint < extract(epoch FROM now()) * 1000 - 30000";
        let reported: i64 = client.query_one(reported, &[]).await.unwrap().get(0);
        (reported > 0).then_some(())
    })
    .await;
    let mut erasing = erasing(&eraser);
    let early = timeout(BEYOND_LATE, &mut erasing).await;
    assert!(early.is_err(), "{early:?}");
    slow.batch_execute("COMMIT").await.unwrap();
    let erased = timeout(PATIENCE, erasing).await.unwrap().unwrap();
    assert_eq!(erased.unwrap(), 1);
    let engine = TestEngine::Postgres(Box::new(options));
    assert!(!engine.holds("canary").await);
}

#[tokio::test]
async fn an_erasure_fails_while_a_replica_without_a_lease_may_still_write() {
    let Some(mut options) = database().await else {
        return;
    };
    options.replica.lease = Duration::from_secs(3);
    let eraser = Replica::start(&options).await;
    "unreachable".clone_into(&mut options.replica.name);
    let other = Replica::start(&options).await;
    other.store.postgres().hush();
    let client = connect(&options).await;
    let erased = async || timeout(PATIENCE, erasing(&eraser)).await.unwrap().unwrap();
    // The first erasure begins while the lease still holds.
    for _ in 0..2 {
        eraser.journal.add(said(JournalRow::default()));
        let failed = erased().await.unwrap_err().to_string();
        assert!(
            failed.contains("unreachable") && failed.contains("again"),
            "{failed}"
        );
        // What could be found was erased nevertheless.
        let engine = TestEngine::Postgres(Box::new(options.clone()));
        assert!(!engine.holds("canary").await);
    }
    for ended in ["draining = true", "lease_until = now() - interval '11 min'"] {
        let ended = format!(
            "UPDATE chatgate.replicas SET draining = false; UPDATE chatgate.replicas SET {ended} WHERE name = 'unreachable'"
        );
        client.batch_execute(&ended).await.unwrap();
        erased().await.unwrap();
    }
    // Another replica starts, and the row stays as long as it is needed.
    let silent = "UPDATE chatgate.replicas SET lease_until = now() - interval '9 min' WHERE name = 'unreachable'";
    client.batch_execute(silent).await.unwrap();
    let _third = Replica::start(&options).await;
    assert!(erased().await.is_err());
}
