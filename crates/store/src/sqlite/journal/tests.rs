//! What the thread that writes promises when its file can't be written.

use std::sync::Arc;

use rusqlite::Connection;

use crate::journal::tests::{Bench, row};
use crate::sqlite::connection::WriteConnection;
use crate::test_engine::TestEngine;
use crate::{JournalFilter, JournalRow, StoreError};

async fn bench() -> Bench {
    Bench::over(TestEngine::sqlite().await.unwrap()).await
}

impl Bench {
    /// Does something to the connection that writes.
    async fn with_writer(&self, work: impl FnOnce(&Connection) + Send + 'static) {
        let work = move |connection: &mut WriteConnection| {
            work(connection.raw());
            Ok::<_, StoreError>(())
        };
        self.store.sqlite().writer().run(work).await.unwrap();
    }

    /// The store may grow to so many pages: SQLite's own full disk.
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
async fn whatever_is_written_for_too_long_holds_up_the_journal_and_is_seen() {
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
async fn a_connection_whose_transaction_could_not_be_ended_is_opened_anew() {
    let bench = bench().await;
    bench.journal.add(row(1, "before"));
    bench.journal.flush().await.unwrap();
    // A transaction that nobody has ended: no other can be begun over this connection.
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
async fn a_full_disk_fails_what_waits_and_the_same_process_goes_on_when_there_is_room() {
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
