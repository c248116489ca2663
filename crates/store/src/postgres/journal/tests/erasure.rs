//! Tests of an erasure while others write.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{PATIENCE, Replica, claim, database, sent, sent_row};
use crate::postgres::lease::now_ms;
use crate::test_engine::{TestEngine, connect};
use crate::{JournalPayload, JournalRow, Opened, StoreError};

const DESTINATION: &str = "34600111222";

/// A time longer than a statement may take while a caller waits for it.
const BEYOND_STATEMENTS: Duration = Duration::from_secs(4);

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

fn erasing(replica: &Replica) -> JoinHandle<Result<u64, StoreError>> {
    let store = Arc::clone(&replica.store);
    tokio::spawn(async move {
        store
            .erase_destination(("ann", now_ms()), DESTINATION)
            .await
    })
}

#[tokio::test]
async fn what_a_send_under_way_and_rows_that_wait_say_is_erased_with_the_rest() {
    let Some(options) = database().await else {
        return;
    };
    let (sender, eraser) = (
        Replica::start(&options).await,
        Replica::start(&options).await,
    );
    let opened = sender
        .journal
        .open(said(sent_row()), Some(claim("k")))
        .await;
    let Opened::Intent(intent) = opened.unwrap() else {
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
async fn an_erasure_takes_the_time_that_it_needs() {
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
