//! Rows of unknown callers: they are counted, and take no room, places or turns from other rows.

use super::*;
use crate::journal::entry::{CountUpdate, JournalEntry};
use crate::journal::minute::MinuteCounts;
use crate::journal::queue::{BATCH_ROWS_MAX, Queue};
use crate::{CountKey, CountResult};

/// Number of rows of an access that fit into the queue if the room belongs to the access alone.
const KNOWN_ROWS: usize = QUEUE_ROWS_MAX / 2;

on_every_engine!(
    a_counted_row_appears_immediately_and_grows_with_every_call,
    counts_queued_while_the_disk_stalls_are_complete_afterwards,
    rows_of_unknown_callers_displace_no_rows_of_known_callers,
    retention_limits_unknown_callers_and_deletes_sends_last,
);

const NOW: i64 = 1_700_000_000_000;

fn key(n: u64) -> CountKey {
    let address = std::net::Ipv4Addr::from_bits(u32::try_from(n).unwrap());
    CountKey::new(None, address.into(), "/api/http/", "RATE_LIMITED")
}

impl Bench {
    /// Notes the call of an unknown caller, as the gateway does.
    fn refuse(&self, n: u64, at_ms: i64) {
        if let CountResult::First(counted) = self.journal.note(key(n), at_ms) {
            let address = counted.key().network;
            let refused = JournalRow {
                client: address,
                code: Some("RATE_LIMITED".into()),
                ..row(at_ms, format!("refused-{n}"))
            };
            self.journal.begin_count(&counted, refused);
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "numbers and texts alike")]
fn of_access(at_ms: i64, id: impl ToString, delivery: Option<&'static str>) -> JournalRow {
    JournalRow {
        access: Some("a".to_owned()),
        delivery: delivery.map(Into::into),
        user_agent: Some("x".repeat(800)),
        ..row(at_ms, id.to_string())
    }
}

async fn a_counted_row_appears_immediately_and_grows_with_every_call(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    bench.refuse(1, NOW);
    let rows = bench.all(JournalFilter::default()).await;
    assert_eq!((rows.len(), rows[0].count), (1, Calls(1)));
    for _ in 0..999 {
        bench.refuse(1, NOW + 1);
    }
    bench.refuse(2, NOW + 1);
    let counts = |rows: Vec<JournalRow>| rows.iter().map(|row| row.count.0).collect::<Vec<_>>();
    assert_eq!(counts(bench.all(JournalFilter::default()).await), [1000, 1]);
    // An orderly shutdown loses nothing, even if a write is in progress.
    bench.refuse(1, NOW + 2);
    bench.refuse(1, NOW + 60_000);
    bench.refuse(2, NOW + 60_000);
    bench.journal.stop().await;
    bench.store.close().await;
    let bench = Bench::over(bench.engine).await;
    assert_eq!(
        counts(bench.all(JournalFilter::default()).await),
        [1001, 1, 1, 1]
    );
    let (tally, is_whole) = bench
        .store
        .tally((0, i64::MAX), Tally::default(), 100)
        .await
        .unwrap();
    assert_eq!((tally.calls, tally.failed, is_whole), (1004, 0, true));
}

async fn counts_queued_while_the_disk_stalls_are_complete_afterwards(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    let lock = bench.lock().await;
    for n in 0..100 {
        for _ in 0..10 {
            bench.refuse(n, NOW);
        }
        bench.journal.save_counts();
    }
    assert_eq!(bench.journal.queued(), 100);
    drop(lock);
    let rows = bench.all(JournalFilter::default()).await;
    assert_eq!(rows.len(), 100);
    assert!(rows.iter().all(|row| row.count == Calls(10)));
    assert_eq!(
        (bench.journal.queued(), bench.journal.queued_bytes()),
        (0, 0)
    );
}

async fn rows_of_unknown_callers_displace_no_rows_of_known_callers(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    let lock = bench.lock().await;
    for minute in 0..5 {
        for n in 0..2000 {
            bench.refuse(n, NOW + minute * 60_000);
        }
    }
    assert!(bench.journal.dropped_of(CallerClass::Unknown) > 0);
    for n in 0..KNOWN_ROWS {
        bench.journal.add(of_access(NOW, n, None));
    }
    assert_eq!(bench.journal.dropped_of(CallerClass::Known), 0);
    drop(lock);
    let of_a = filter(|f| f.access = Some("a".to_owned()));
    assert_eq!(bench.all(of_a).await.len(), KNOWN_ROWS);
}

#[test]
fn a_batch_takes_sends_first_and_a_limited_share_of_unknown_callers() {
    let queue = Queue::new();
    queue.open();
    let push = |entry| assert!(queue.push(entry).is_ok());
    let counts = MinuteCounts::default();
    for n in 0..1000 {
        let CountResult::First(counted) = counts.note(key(n), NOW) else {
            panic!("{n} came before");
        };
        counted.set_row(row(NOW, n));
        push(JournalEntry::Counted(Box::new(CountUpdate::of(counted))));
    }
    for n in 0..BATCH_ROWS_MAX + 10 {
        push(JournalEntry::Row(Box::new(of_access(NOW, n, None))));
    }
    push(JournalEntry::Withdraw(1));
    let (reply, _flushed) = tokio::sync::oneshot::channel();
    push(JournalEntry::Flush(reply));
    push(JournalEntry::Withdraw(2));

    let kinds = |batch: &[JournalEntry]| {
        let count = |is: fn(&JournalEntry) -> bool| batch.iter().filter(|entry| is(entry)).count();
        [
            count(|entry| matches!(entry, JournalEntry::Withdraw(_))),
            count(|entry| matches!(entry, JournalEntry::Row(_))),
            count(|entry| matches!(entry, JournalEntry::Counted(_))),
            count(|entry| matches!(entry, JournalEntry::Flush(_))),
        ]
    };
    let mut batch = queue.take();
    assert_eq!(kinds(&batch), [2, BATCH_ROWS_MAX - 2, 256, 0]);
    // A batch is in the order of arrival.
    let is_sorted = |batch: &[JournalEntry]| {
        let first_row = batch
            .iter()
            .position(|entry| matches!(entry, JournalEntry::Row(_)));
        let last_count = batch
            .iter()
            .rposition(|entry| matches!(entry, JournalEntry::Counted(_)));
        last_count < first_row
    };
    assert!(is_sorted(&batch));
    // Withdrawals use places that were reserved when their rows were opened, which did not happen in this test.
    batch.retain(|entry| !matches!(entry, JournalEntry::Withdraw(_)));
    queue.settle(&batch);
    let batch = queue.take();
    assert_eq!(kinds(&batch), [0, 12, 256, 0]);
    queue.settle(&batch);
    let (second, third) = (queue.take(), queue.take());
    assert_eq!(
        (kinds(&second), kinds(&third)),
        ([0, 0, 256, 0], [0, 0, 232, 1])
    );
    queue.settle(&second);
    queue.settle(&third);
    assert_eq!(
        (queue.rows(), queue.bytes(), queue.state().has_entries),
        (0, 0, false)
    );
}

/// Returns the number of rows whose request id has this prefix.
fn count(rows: &[JournalRow], start: &str) -> usize {
    let ids = rows.iter().filter_map(|row| row.request_id.as_deref());
    ids.filter(|id| id.starts_with(start)).count()
}

async fn retention_limits_unknown_callers_and_deletes_sends_last(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    let retention = Retention {
        rows: Duration::from_secs(3600),
        payloads: Duration::from_secs(3600),
        bytes: 4 << 20,
    };
    for n in 0..100 {
        bench
            .journal
            .add(of_access(NOW, format!("send-{n}"), Some("sent")));
    }
    for n in 0..400 {
        bench.refuse(n, NOW);
    }
    bench.journal.flush().await.unwrap();
    bench
        .store
        .clear_surplus(NOW + 1000, &retention)
        .await
        .unwrap();
    let rows = bench.all(JournalFilter::default()).await;
    let unknown = count(&rows, "refused");
    assert!(
        (150..=204).contains(&unknown),
        "{unknown} of a sixteenth of 4 MiB"
    );
    assert_eq!(count(&rows, "send"), 100);
    let early = |class| bench.journal.cleared_early(class);
    assert_eq!(early(CallerClass::Unknown), 400 - unknown as u64);
    assert_eq!(early(CallerClass::Known), 0);

    // There are now more rows than fit: reads are deleted, although sends are older.
    for n in 0..6000 {
        bench
            .journal
            .add(of_access(NOW + 2000, format!("read-{n}"), None));
    }
    bench.journal.flush().await.unwrap();
    for round in 0..2 {
        let now = NOW + 3000 + round;
        bench.store.clear_surplus(now, &retention).await.unwrap();
    }
    let rows = bench.all(JournalFilter::default()).await;
    assert_eq!(count(&rows, "send"), 100);
    let reads = count(&rows, "read");
    assert!((500..6000).contains(&reads), "{reads}");
    assert_eq!(early(CallerClass::Known), 6000 - reads as u64);
    assert!(rows.iter().any(|row| row.kind == JournalKind::Clearing));

    // A row that has exceeded its retention does not count as deleted early.
    let before = early(CallerClass::Known);
    let retention = Retention {
        rows: Duration::from_millis(1),
        bytes: 1 << 20,
        ..retention
    };
    bench
        .store
        .clear_surplus(NOW + 10_000, &retention)
        .await
        .unwrap();
    assert_eq!(early(CallerClass::Known), before);
}
