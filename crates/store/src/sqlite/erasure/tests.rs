//! What an erasure and a clearing guarantee: not a byte of the data remains in the store's files, nor in a copy made afterwards.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::{
    Claim, Journal, JournalFilter, JournalOrder, JournalPayload, JournalRow, Obstacle, OpenResult,
    ReceiptRoom, Retention, Settlement, Store,
};
use rusqlite::{Connection, OpenFlags};

/// The destination to search for, and the digits that all its forms share.
const DESTINATION: &str = "+34600111222";
const DIGITS: &str = "34600111222";

/// The text of the messages.
const SAID: &str = "a secret between two";

/// Number of rows around the rows of the destination: enough for trees of three levels, whose pages are split and filled again.
const ROWS: i64 = 3000;

struct Bench {
    folder: tempfile::TempDir,
    store: Arc<Store>,
    journal: Arc<Journal>,
}

impl Bench {
    async fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(
            Store::open(&folder.path().join("chatgate.db"))
                .await
                .unwrap(),
        );
        let journal = Journal::start(&store).await.unwrap();
        Bench {
            folder,
            store,
            journal,
        }
    }

    /// Adds sends and reads with many destinations; every tenth of them contains the destination in every field.
    async fn fill(&self) {
        for n in 0..ROWS {
            let to = if n % 10 == 0 { DIGITS } else { "34999999999" };
            self.journal.add(said(n, to));
            let row = said(n, to);
            let opened = self
                .journal
                .open(row, Some(claim(n, to)), Instant::now())
                .await
                .unwrap();
            let OpenResult::Intent(intent) = opened else {
                panic!("{n} can be claimed")
            };
            let answer = Settlement::Sent(format!("{{\"to\":\"\\u002b{to}\"}}"));
            drop(intent.settle(said(n, to), answer));
        }
        self.journal.flush().await.unwrap();
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    /// Returns the number of occurrences of this text in the store, its log, its index, and a copy made now.
    async fn hits(&self, text: &str) -> usize {
        let copy = self.store.backup().await.unwrap();
        count(std::io::BufReader::new(copy), text) + self.hits_in_files(text)
    }

    fn hits_in_files(&self, text: &str) -> usize {
        let files = self.files().into_iter();
        let counts = files.map(|file| count(std::fs::File::open(file).unwrap(), text));
        counts.sum()
    }

    fn is_sound(&self) -> bool {
        let file = self.folder.path().join("chatgate.db");
        let connection =
            Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let checked: String = connection
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        checked == "ok"
    }
}

fn count(mut file: impl std::io::Read, text: &str) -> usize {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    bytes
        .windows(text.len())
        .filter(|window| *window == text.as_bytes())
        .count()
}

fn said(at_ms: i64, to: &str) -> JournalRow {
    JournalRow {
        at_ms,
        request_id: Some(format!("{at_ms}-{to}")),
        user_agent: Some(format!("client of {to}")),
        cause: Some(format!("the upstream said %2B{to}").into()),
        upstream_code: Some(format!("NO_{to}").into()),
        payload: JournalPayload {
            destination: Some(to.to_owned()),
            parameters: Some(format!("destination=…{}", &to[8..])),
            answer: Some(format!("{{\"{to}\":\"{SAID} {at_ms:0>900}\"}}")),
        },
        ..JournalRow::default()
    }
}

fn claim(n: i64, to: &str) -> Claim {
    Claim {
        client_id: "cga_one".to_owned(),
        method: "sendmessage",
        key: format!("{n}-{to}"),
        fingerprint: [0; 32],
        request_id: format!("{n}-{to}"),
        now: 1,
        kept_since: 0,
        room: ReceiptRoom {
            per_access: 1 << 30,
            all: 1 << 30,
        },
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_leaves_no_byte_of_the_destination_and_keeps_claimed_keys() {
    let bench = Bench::new().await;
    bench.fill().await;
    let access = "INSERT INTO changes (at, actor, access, after) VALUES (1, 'ann', 'shop', '{\"note\":\"of +34600111222\"}')";
    let changed = bench
        .store
        .sqlite()
        .write(move |transaction| Ok(transaction.execute(access, [])?));
    changed.await.unwrap();
    assert!(bench.hits(DIGITS).await > 1000);
    // Other callers read during the whole erasure.
    let ended = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let (store, ended) = (Arc::clone(&bench.store), Arc::clone(&ended));
            tokio::spawn(async move {
                let from = (JournalOrder::OldestFirst, None);
                while !ended.load(Ordering::Relaxed) {
                    store
                        .journal_page(&JournalFilter::default(), from, 1000)
                        .await
                        .unwrap();
                }
            })
        })
        .collect();
    let erased = bench
        .store
        .erase_destination(("ann", 2), DESTINATION)
        .await
        .unwrap();
    ended.store(true, Ordering::Relaxed);
    for reader in readers {
        reader.await.unwrap();
    }
    // For each number with the destination these rows: the row of the read, the row of the send, both payloads and a receipt. The
    // change is one more row.
    assert_eq!(erased, ROWS.unsigned_abs() / 10 * 5 + 1);
    assert_eq!((bench.hits(DIGITS).await, bench.is_sound()), (0, true));
    assert!(bench.hits("34999999999").await > 1000);
    let known = bench.store.obstacle(&claim(10, DIGITS)).await.unwrap();
    assert!(matches!(known, Some(Obstacle::Known(_))), "{known:?}");
    // Later writes do not bring anything back.
    bench.journal.add(said(3, "34999999999"));
    bench.journal.flush().await.unwrap();
    assert_eq!((bench.hits(DIGITS).await, bench.is_sound()), (0, true));
}

#[tokio::test]
async fn clearing_by_age_or_size_leaves_no_byte_of_the_deleted_rows() {
    let bench = Bench::new().await;
    for n in 0..ROWS {
        bench.journal.add(said(n, DIGITS));
    }
    bench.journal.flush().await.unwrap();
    let text = |n: i64| format!("{SAID} {n:0>900}");
    let retention = |payloads, bytes| Retention {
        rows: Duration::from_millis(payloads + 500),
        payloads: Duration::from_millis(payloads),
        bytes,
    };
    let now = ROWS;
    bench
        .store
        .clear_old(now, &retention(2000, u64::MAX))
        .await
        .unwrap();
    bench.store.scrub().await.unwrap();
    for (n, hits) in [
        (0, 0),
        (500, 0),
        (990, 0),
        (999, 0),
        (1000, 2),
        (ROWS - 1, 2),
    ] {
        assert_eq!(bench.hits(&text(n)).await, hits, "{n}");
    }
    bench
        .store
        .clear_surplus(now, &retention(2000, 1 << 20))
        .await
        .unwrap();
    bench.store.scrub().await.unwrap();
    assert!(bench.is_sound());
    let (all, from) = (JournalFilter::default(), (JournalOrder::OldestFirst, None));
    let kept = bench.store.journal_page(&all, from, 1);
    let first_kept = kept.await.unwrap().rows[0].at_ms;
    assert!(first_kept > 1000, "{first_kept}");
    for n in (1000..first_kept).step_by(53).chain([first_kept - 1]) {
        assert_eq!(bench.hits(&text(n)).await, 0, "{n}");
    }
    assert_eq!(bench.hits(&text(first_kept)).await, 2);
}

#[tokio::test]
async fn scrub_overwrites_data_that_an_earlier_version_deleted() {
    let bench = Bench::new().await;
    bench.fill().await;
    let file = bench.folder.path().join("chatgate.db");
    let earlier = Connection::open(&file).unwrap();
    for statement in [
        "PRAGMA secure_delete = OFF",
        "DELETE FROM journal_payload WHERE id % 7 > 0 OR id < (SELECT max(id) / 2 FROM journal)",
        "UPDATE journal SET user_agent = NULL, request_id = NULL, cause = NULL, upstream_code = NULL",
        "PRAGMA wal_checkpoint(TRUNCATE)",
        // The migration leaves an older store in this state.
        "INSERT INTO scrubbing (next_page) VALUES (1)",
    ] {
        let mut statement = earlier.prepare(statement).unwrap();
        let mut rows = statement.query([]).unwrap();
        while rows.next().unwrap().is_some() {}
    }
    drop(earlier);
    let live = "SELECT count(*) FROM journal_payload WHERE answer LIKE '%a secret%'";
    let live = bench
        .store
        .sqlite()
        .read(move |connection| Ok(connection.query_row(live, [], |row| row.get(0))?));
    let live: i64 = live.await.unwrap();
    let live = usize::try_from(live).unwrap();
    assert!(bench.hits_in_files(SAID) > live, "SQLite has left nothing");
    bench.store.scrub().await.unwrap();
    assert_eq!((bench.hits_in_files(SAID), bench.is_sound()), (live, true));
}

#[tokio::test]
async fn an_erasure_blocked_by_a_reader_fails_and_is_completed_later() {
    let bench = Bench::new().await;
    bench.journal.add(said(1, DIGITS));
    bench.journal.flush().await.unwrap();
    let file = bench.folder.path().join("chatgate.db");
    let reads = Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    reads
        .execute_batch("BEGIN; SELECT count(*) FROM journal")
        .unwrap();
    let held = bench.store.erase_destination(("ann", 2), DESTINATION).await;
    assert!(
        held.unwrap_err()
            .to_string()
            .contains("reads the store's file")
    );
    drop(reads);
    bench.store.scrub().await.unwrap();
    assert_eq!(bench.hits(DIGITS).await, 0);
}
