//! What the writer thread guarantees when its file can't be written.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use crate::journal::tests::{Bench, row};
use crate::sqlite::connection::WriteConnection;
use crate::test_engine::TestEngine;
use crate::{JournalFilter, JournalKind, JournalRow, Retention, StoreError};

async fn bench() -> Bench {
    Bench::over(TestEngine::sqlite().await.unwrap()).await
}

impl Bench {
    /// Runs `work` with the writing connection.
    async fn with_writer(&self, work: impl FnOnce(&Connection) + Send + 'static) {
        let work = move |connection: &mut WriteConnection| {
            work(connection.raw());
            Ok::<_, StoreError>(())
        };
        self.store.sqlite().writer().run(work).await.unwrap();
    }

    /// Limits the store to this number of pages, so that SQLite itself reports a full disk.
    async fn pages_max(&self, expression: &'static str) {
        self.with_writer(move |connection| {
            let pages = format!("SELECT {expression}");
            let pages: i64 = connection.query_row(&pages, [], |row| row.get(0)).unwrap();
            connection
                .pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))
                .unwrap();
        })
        .await;
    }
}

#[tokio::test]
async fn a_long_write_delays_the_journal_and_is_reported_as_trouble() {
    let bench = bench().await;
    let (begins, begun) = tokio::sync::oneshot::channel();
    let (release, released) = std::sync::mpsc::channel::<()>();
    let held = bench.with_writer(move |_| {
        let _ = begins.send(());
        let _ = released.recv();
    });
    let (store, journal) = (Arc::clone(&bench.store), Arc::clone(&bench.journal));
    let others = async move {
        begun.await.unwrap();
        journal.add(row(1, "kept"));
        let error = journal.flush().await.unwrap_err().to_string();
        assert!(error.contains("not written in time"), "{error}");
        let trouble = journal.trouble().unwrap();
        assert!(trouble.contains("a write takes too long"), "{trouble}");
        let error = store.return_daily_calls(&[]).await.unwrap_err().to_string();
        assert!(error.contains("another write takes too long"), "{error}");
        drop(release);
    };
    tokio::join!(held, others);
    assert_eq!(bench.ids(JournalFilter::default()).await, ["kept"]);
    assert_eq!(bench.journal.trouble(), None);
}

#[tokio::test]
async fn a_connection_stuck_in_a_transaction_is_reopened() {
    let bench = bench().await;
    bench.journal.add(row(1, "before"));
    bench.journal.flush().await.unwrap();
    // Nobody has ended this transaction, so that no other one can begin on this connection.
    bench
        .with_writer(|connection| connection.execute_batch("BEGIN").unwrap())
        .await;
    bench.journal.add(row(1, "after"));
    assert!(bench.journal.flush().await.is_err());
    assert_eq!(
        bench.ids(JournalFilter::default()).await,
        ["before", "after"]
    );
    assert_eq!(bench.journal.trouble(), None);
}

#[tokio::test]
async fn a_full_disk_rejects_sends_until_there_is_space_again() {
    let bench = bench().await;
    bench.journal.flush().await.unwrap();
    bench
        .pages_max("(SELECT page_count FROM pragma_page_count)")
        .await;
    let large = || JournalRow {
        user_agent: Some("x".repeat(64 * 1024)),
        ..row(1, "large")
    };
    bench.journal.add(large());
    for n in 0..5 {
        let error = bench.open(large()).await.err().unwrap();
        assert!(error.to_string().contains("full"), "{n}: {error}");
        let trouble = bench.journal.trouble().unwrap();
        assert!(trouble.contains("full"), "{n}: {trouble}");
    }
    assert_eq!((bench.journal.queued(), bench.journal.dropped()), (1, 0));
    bench.pages_max("1000000").await;
    let intent = bench.open(row(1, "again")).await.unwrap();
    assert_eq!(
        bench.ids(JournalFilter::default()).await,
        ["large", "again"]
    );
    assert_eq!(bench.journal.trouble(), None);
    drop(intent);
    assert_eq!(
        (bench.journal.queued(), bench.journal.queued_bytes()),
        (0, 0)
    );
}

#[tokio::test]
async fn rows_written_after_a_clock_was_ahead_are_still_deleted_by_size() {
    let bench = bench().await;
    let now_ms = 1_700_000_000_000;
    let large = |at_ms, n: i64| JournalRow {
        user_agent: Some("x".repeat(1000)),
        access: Some("a".to_owned()),
        ..row(at_ms, n)
    };
    // Each row has a higher number than the rows before it, so that these rows have a right time and a wrong number.
    bench.journal.add(large(2 * now_ms, 0));
    bench.journal.flush().await.unwrap();
    for n in 1..5000 {
        bench.journal.add(large(now_ms + n, n));
    }
    bench.journal.flush().await.unwrap();
    let retention = Retention {
        rows: Duration::MAX,
        payloads: Duration::MAX,
        bytes: 4 << 20,
    };
    bench
        .store
        .clear_surplus(now_ms + 5000, &retention)
        .await
        .unwrap();
    let rows = bench.all(JournalFilter::default()).await;
    assert!((1000..4500).contains(&rows.len()), "{}", rows.len());
    let clearings = rows.iter().filter(|row| row.kind == JournalKind::Clearing);
    assert_eq!(clearings.count(), 1, "its own row stays");
    assert!(
        bench
            .ids(JournalFilter::default())
            .await
            .contains(&"4999".to_owned())
    );
}
