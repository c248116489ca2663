//! What the room of receipts guarantees: no access takes more than its own room, the counters match the actual receipts, and the
//! journal loses no row to receipts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::test_engine::{TestEngine, connect, on_every_engine};
use crate::{
    Claim, Journal, JournalFilter, JournalOrder, JournalRow, Obstacle, OpenResult,
    RECEIPT_ANSWER_BYTES_MAX, ReceiptRoom, ReceiptsFull, Retention, Settlement, Store,
};

/// Number of sends with a key from one access: far more than the room holds.
const SENDS: usize = 20_000;

/// Number of sends that run at the same time, so that they share commits.
const AT_ONCE: usize = 500;

/// Room for about ten thousand receipts, and for the sends in progress.
const ROOM: ReceiptRoom = ReceiptRoom {
    per_access: 48 << 20,
    all: 64 << 20,
};

async fn open(engine: &TestEngine) -> (Arc<Store>, Arc<Journal>) {
    let store = Arc::new(engine.open().await);
    let journal = Journal::start(&store).await.unwrap();
    (store, journal)
}

pub(crate) fn claim(client_id: &str, key: impl std::fmt::Display, now: i64) -> Claim {
    Claim {
        client_id: client_id.to_owned(),
        method: "sendmessage",
        key: format!("key-{key}"),
        fingerprint: [0; 32],
        request_id: "019aca00-0000-7000-8000-000000000000".to_owned(),
        now,
        kept_since: now - 100,
        room: ROOM,
    }
}

fn row(access: &str) -> JournalRow {
    JournalRow {
        at_ms: 1,
        access: Some(access.to_owned()),
        ..JournalRow::default()
    }
}

/// Sends with this key and settles it in this way; returns the obstacle if the key can't be claimed.
async fn send(journal: &Journal, claim: Claim, settlement: Settlement) -> Option<Obstacle> {
    match journal
        .open(row("many"), Some(claim), Instant::now())
        .await
        .unwrap()
    {
        OpenResult::Intent(intent) => {
            intent.settle(row("many"), settlement).await.unwrap();
            None
        }
        OpenResult::Obstacle(obstacle) => Some(obstacle),
    }
}

/// Returns the counted room of an access, after a check that the counters match the actual receipts.
async fn taken(engine: &TestEngine, store: &Store, client_id: &str) -> (u64, u64) {
    let there = actual_receipts(engine, client_id).await;
    let taken = store.receipts_taken(client_id).await.unwrap();
    assert_eq!(taken, (there.0.unsigned_abs(), there.1.unsigned_abs()));
    taken
}

async fn actual_receipts(engine: &TestEngine, client_id: &str) -> (i64, i64) {
    match engine {
        TestEngine::Sqlite(folder) => {
            let there = "SELECT count(*), coalesce(sum(bytes), 0) FROM receipts WHERE client_id = ?1 OR ?1 = ''";
            let file = rusqlite::Connection::open(folder.path().join("chatgate.db")).unwrap();
            file.query_row(there, [client_id], |row| Ok((row.get(0)?, row.get(1)?)))
                .unwrap()
        }
        TestEngine::Postgres(options) => {
            let there = "SELECT count(*), coalesce(sum(chatgate.receipt_bytes(request_id, state, answer)), 0)::bigint
                 FROM chatgate.receipts WHERE client_id = $1 OR $1 = ''";
            let row = connect(options).await.query_one(there, &[&client_id]).await;
            let row = row.unwrap();
            (row.get(0), row.get(1))
        }
    }
}

/// Returns the size of the pages that contain receipts and their indexes, in bytes.
fn pages(folder: &tempfile::TempDir) -> u64 {
    let sum = "SELECT sum(pgsize) FROM dbstat WHERE name IN ('receipts', 'receipts_by_row', 'receipts_by_age')";
    let file = rusqlite::Connection::open(folder.path().join("chatgate.db")).unwrap();
    let sum: i64 = file.query_row(sum, [], |row| row.get(0)).unwrap();
    sum.unsigned_abs()
}

on_every_engine!(
    receipts_stay_within_the_limit_of_an_access_and_displace_no_journal_rows,
    receipt_counters_survive_a_restart_and_shrink_with_freed_receipts,
    expired_receipts_make_room_for_new_ones,
    the_key_of_an_open_send_never_expires,
);

#[expect(clippy::print_stdout, reason = "it prints its figures")]
async fn receipts_stay_within_the_limit_of_an_access_and_displace_no_journal_rows(
    engine: TestEngine,
) {
    let (store, journal) = open(&engine).await;
    for _ in 0..1000 {
        journal.add(row("other"));
    }
    let (mut sent, mut refused) = (0, 0);
    for first in (0..SENDS).step_by(AT_ONCE) {
        let mut sends = JoinSet::new();
        for n in first..first + AT_ONCE {
            let (journal, claim) = (Arc::clone(&journal), claim("cga_many", n, 1000));
            let answer = Settlement::Sent(format!("{{\"of\":\"{n:0>1000}\"}}"));
            sends.spawn(async move { send(&journal, claim, answer).await });
        }
        for obstacle in sends.join_all().await {
            match obstacle {
                None => sent += 1,
                Some(Obstacle::ReceiptsFull(receipts_full)) => {
                    // Receipts are kept for 100 seconds, so that a receipt of this second has expired after 101.
                    assert_eq!((receipts_full.own, receipts_full.retry_s), (true, 101));
                    refused += 1;
                }
                Some(known) => panic!("{known:?}"),
            }
        }
    }
    let (receipts, bytes) = taken(&engine, &store, "cga_many").await;
    assert_eq!((receipts, sent + refused), (sent, SENDS as u64));
    assert!(
        refused > 0 && bytes <= ROOM.per_access.unsigned_abs(),
        "{bytes}"
    );
    if let TestEngine::Sqlite(folder) = &engine {
        let pages = pages(folder);
        assert!(pages <= bytes, "{pages} bytes on the disk, {bytes} counted");
    }
    println!("{SENDS} keyed sends: {sent} sent, {refused} refused, {bytes} bytes counted");

    // Another access also has a receipt, and none of its journal rows is cleared, although the file is larger than the limit of the
    // journal.
    assert_eq!(
        send(
            &journal,
            claim("cga_other", 1, 1000),
            Settlement::Unknown("UPSTREAM_ERROR")
        )
        .await,
        None
    );
    let retention = Retention {
        rows: Duration::from_secs(1),
        payloads: Duration::from_secs(1),
        bytes: 24 << 20,
    };
    store.clear_surplus(5, &retention).await.unwrap();
    let filter = JournalFilter {
        access: Some("other".to_owned()),
        ..JournalFilter::default()
    };
    let rows = store
        .journal_page(&filter, (JournalOrder::OldestFirst, None), u32::MAX)
        .await;
    assert_eq!(rows.unwrap().rows.len(), 1000);
}

/// Makes a claim with room for little more than one send in progress.
fn small(key: u32, now: i64) -> Claim {
    Claim {
        room: ReceiptRoom {
            per_access: 75_000,
            all: 200_000,
        },
        ..claim("cga_many", key, now)
    }
}

async fn receipt_counters_survive_a_restart_and_shrink_with_freed_receipts(engine: TestEngine) {
    let (store, journal) = open(&engine).await;
    let long = "x".repeat(RECEIPT_ANSWER_BYTES_MAX + 1);
    assert_eq!(
        send(&journal, small(1, 1000), Settlement::Sent(long)).await,
        None
    );
    let empty = taken(&engine, &store, "cga_many").await;
    assert!(empty.1 < 1000, "what is too long is not kept: {empty:?}");
    assert_eq!(send(&journal, small(2, 1000), Settlement::Free).await, None);
    assert_eq!(taken(&engine, &store, "cga_many").await, empty);
    // An open receipt counts with the maximum size that it may reach.
    let opened = journal
        .open(row("many"), Some(small(3, 1000)), Instant::now())
        .await
        .unwrap();
    let receipts_full = ReceiptsFull {
        own: true,
        retry_s: 101,
    };
    let receipts_full = Some(Obstacle::ReceiptsFull(receipts_full));
    assert_eq!(
        store.obstacle(&small(4, 1000)).await.unwrap(),
        receipts_full
    );
    assert_eq!(
        send(&journal, small(4, 1000), Settlement::Free).await,
        receipts_full
    );
    // A known key gets its old answer even if there is no room.
    let known = send(&journal, small(1, 1000), Settlement::Free).await;
    assert!(matches!(known, Some(Obstacle::Known(_))), "{known:?}");
    let others = Claim {
        room: ReceiptRoom {
            per_access: 75_000,
            all: 85_000,
        },
        ..claim("cga_other", 1, 1000)
    };
    let refused = store.obstacle(&others).await.unwrap();
    assert!(
        matches!(
            refused,
            Some(Obstacle::ReceiptsFull(ReceiptsFull { own: false, .. }))
        ),
        "{refused:?}"
    );
    drop(opened);
    journal.stop().await;
    store.close().await;
    drop(store);

    let (store, _journal) = open(&engine).await;
    assert_eq!(taken(&engine, &store, "cga_many").await.0, 2);
    assert_eq!(
        taken(&engine, &store, "").await,
        taken(&engine, &store, "cga_many").await
    );
}

async fn the_key_of_an_open_send_never_expires(engine: TestEngine) {
    let (store, journal) = open(&engine).await;
    let opened = journal
        .open(row("many"), Some(small(1, 1000)), Instant::now())
        .await;
    let later = small(1, 2000);
    let known = store.obstacle(&later).await.unwrap();
    assert!(matches!(known, Some(Obstacle::Known(_))), "{known:?}");
    let known = send(&journal, later, Settlement::Free).await;
    assert!(matches!(known, Some(Obstacle::Known(_))), "{known:?}");
    drop(opened);
}

async fn expired_receipts_make_room_for_new_ones(engine: TestEngine) {
    let (store, journal) = open(&engine).await;
    let fill = "y".repeat(RECEIPT_ANSWER_BYTES_MAX);
    assert_eq!(
        send(&journal, small(5, 1000), Settlement::Sent(fill)).await,
        None
    );
    assert_eq!(
        store.obstacle(&small(6, 1100)).await.unwrap(),
        Some(Obstacle::ReceiptsFull(ReceiptsFull {
            own: true,
            retry_s: 1
        }))
    );
    assert_eq!(
        send(&journal, small(6, 1101), Settlement::Sent("{}".to_owned())).await,
        None
    );
    assert_eq!(taken(&engine, &store, "cga_many").await.0, 1);
    store.clear_receipts(1102).await.unwrap();
    assert_eq!(
        (
            taken(&engine, &store, "cga_many").await,
            taken(&engine, &store, "").await
        ),
        ((0, 0), (0, 0))
    );
}
