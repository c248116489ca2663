//! What the journal guarantees: rows are read as they were written, bounds hold, and deletions are recorded.

mod classes;
mod deletion;
mod pages;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::journal::filter::ROWS_EXAMINED_MAX;
use crate::journal::queued::{QUEUE_BYTES_MAX, QUEUE_ROWS_MAX};
use crate::test_engine::{TestEngine, WriteLock, on_every_engine};
use crate::{
    AccessCalls, CallerClass, Calls, Claim, Intent, Journal, JournalFilter, JournalKind,
    JournalOrder, JournalPayload, JournalRow, JournalStatus, OpenResult, ReceiptRoom, Retention,
    Settlement, Store, StoreError, Tally,
};

const NEWEST: JournalOrder = JournalOrder::NewestFirst;
/// A time after the full row, in milliseconds since 1970.
const LATER: i64 = 1_700_000_000_200;

const DAY_MS: i64 = 86_400_000;

const OLDEST: JournalOrder = JournalOrder::OldestFirst;

on_every_engine!(
    a_row_is_read_as_written_except_for_its_destination,
    a_stalled_writer_delays_no_caller_and_surplus_rows_are_dropped,
    the_row_queue_is_bounded_and_reserves_space_for_outcomes,
    an_opened_row_is_on_disk_and_is_closed_as_unknown_after_a_restart,
    a_failing_store_rejects_intents_and_keeps_rows_until_it_recovers,
    a_send_on_a_stalled_disk_is_rejected_in_time_and_leaves_no_row,
    a_row_whose_caller_disconnects_after_the_write_is_withdrawn,
    a_row_whose_caller_timed_out_is_withdrawn_and_its_key_is_free,
    outcomes_of_sends_are_never_dropped_while_the_disk_stalls,
    replay_calls_returns_only_calls_that_network_lists_judged,
);

pub(crate) struct Bench {
    pub(crate) engine: TestEngine,
    pub(crate) store: Arc<Store>,
    pub(crate) journal: Arc<Journal>,
}

impl Bench {
    pub(crate) async fn open(&self, row: JournalRow) -> Result<Intent, StoreError> {
        match self.journal.open(row, None, Instant::now()).await? {
            OpenResult::Intent(intent) => Ok(intent),
            OpenResult::Obstacle(obstacle) => panic!("no key was claimed, but {obstacle:?}"),
        }
    }

    pub(crate) async fn over(engine: TestEngine) -> Bench {
        let store = Arc::new(engine.open().await);
        let journal = Journal::start(&store).await.unwrap();
        Bench {
            engine,
            store,
            journal,
        }
    }

    pub(crate) async fn all(&self, filter: JournalFilter) -> Vec<JournalRow> {
        // On a busy machine, writing a full queue takes longer than one flush waits.
        let patience = std::time::Instant::now() + Duration::from_secs(60);
        while let Err(error) = self.journal.flush().await {
            assert!(std::time::Instant::now() < patience, "{error}");
        }
        let (mut all, mut beyond) = (Vec::new(), None);
        loop {
            let page = self
                .store
                .journal_page(&filter, (OLDEST, beyond), 20_000)
                .await
                .unwrap();
            all.extend(page.rows);
            let Some(next) = page.next else { return all };
            beyond = Some(next);
        }
    }

    pub(crate) async fn ids(&self, filter: JournalFilter) -> Vec<String> {
        let rows = self.all(filter).await.into_iter();
        rows.filter_map(|row| row.request_id).collect()
    }

    /// Makes every write wait until the guard is dropped.
    async fn lock(&self) -> WriteLock {
        self.engine.lock().await
    }

    /// Makes every write fail, or succeed again.
    async fn read_only(&self, on: bool) {
        self.engine.read_only(&self.store, on).await;
    }
}

fn filter(set: impl FnOnce(&mut JournalFilter)) -> JournalFilter {
    let mut filter = JournalFilter::default();
    set(&mut filter);
    filter
}

#[expect(clippy::needless_pass_by_value, reason = "numbers and texts alike")]
pub(crate) fn row(at_ms: i64, request_id: impl ToString) -> JournalRow {
    JournalRow {
        at_ms,
        request_id: Some(request_id.to_string()),
        ..JournalRow::default()
    }
}

fn claim(key: &str) -> Claim {
    Claim {
        client_id: "client".to_owned(),
        method: "sendmessage",
        key: key.to_owned(),
        fingerprint: [0; 32],
        request_id: "send".to_owned(),
        now: 1,
        kept_since: 0,
        room: ReceiptRoom {
            per_access: 1 << 30,
            all: 1 << 30,
        },
    }
}

fn full_row() -> JournalRow {
    JournalRow {
        id: 0,
        at_ms: 1_700_000_000_123,
        kind: JournalKind::Request,
        open: false,
        count: Calls(3),
        request_id: Some("r".to_owned()),
        caller_request_id: Some("c".to_owned()),
        trace_id: Some("t".to_owned()),
        way: Some("http".into()),
        access: Some("shop".to_owned()),
        method: Some("sendmessage".into()),
        http_method: Some("POST".into()),
        path: Some("/api/http/".into()),
        peer: Some("[::1]:7".parse().unwrap()),
        client: Some("10.0.0.1".parse().unwrap()),
        status: Some(200),
        canonical: Some(404),
        code: Some("CHANNEL_NOT_FOUND".into()),
        upstream_code: Some("CHANNEL_NOT_FOUND".into()),
        delivery: Some("not_sent".into()),
        attempts: Some(1),
        queue_us: Some(2),
        upstream_us: Some(3),
        total_us: Some(4),
        cache: Some("effect".into()),
        limited_by: Some("minute".into()),
        limit_max: Some(60),
        limit_left: Some(59),
        generation: Some(5),
        user_agent: Some("curl".to_owned()),
        cause: Some("answer of the upstream".into()),
        would_refuse: Some("on no list".to_owned()),
        actor: Some("nobody".into()),
        before: None,
        after: None,
        payload: JournalPayload {
            destination: Some("34600000000".to_owned()),
            parameters: Some("platform=whatsapp".to_owned()),
            answer: Some("{}".to_owned()),
        },
    }
}

async fn a_row_is_read_as_written_except_for_its_destination(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    bench.journal.add(full_row());
    let read = bench.all(JournalFilter::default()).await;
    let mut expected = full_row();
    expected.payload.destination = None;
    expected.id = read[0].id;
    assert_eq!(JournalRow::time_of(expected.id), expected.at_ms);
    assert_eq!(read, [expected.clone()]);
    let all = JournalFilter::default();
    let page = bench
        .store
        .journal_page_without_answers(&all, (OLDEST, None), 9);
    expected.payload.answer = None;
    assert_eq!(page.await.unwrap().rows, [expected]);
    assert!(bench.engine.holds("CHANNEL_NOT_FOUND").await);
    assert!(!bench.engine.holds("34600000000").await);
}

async fn a_stalled_writer_delays_no_caller_and_surplus_rows_are_dropped(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    let lock = bench.lock().await;
    let large = || JournalRow {
        payload: JournalPayload {
            answer: Some("x".repeat(256 * 1024)),
            ..JournalPayload::default()
        },
        ..row(1, "large")
    };
    let tried = 400_u64;
    for _ in 0..tried {
        bench.journal.add(large());
        assert!(bench.journal.queued_bytes() <= QUEUE_BYTES_MAX);
    }
    let (kept, dropped) = (bench.journal.queued() as u64, bench.journal.dropped());
    assert!(
        kept > 200 && dropped > 100 && kept + dropped == tried,
        "{kept} {dropped}"
    );
    drop(lock);
    assert_eq!(bench.all(JournalFilter::default()).await.len() as u64, kept);
    assert_eq!(
        (bench.journal.queued(), bench.journal.queued_bytes()),
        (0, 0)
    );
    assert_eq!(bench.journal.dropped(), dropped);
}

async fn the_row_queue_is_bounded_and_reserves_space_for_outcomes(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    let intent = bench.open(row(1, "send")).await.unwrap();
    let lock = bench.lock().await;
    for n in 0..QUEUE_ROWS_MAX {
        bench.journal.add(row(1, n));
    }
    // One place is reserved for the outcome.
    assert_eq!(
        (bench.journal.queued(), bench.journal.dropped()),
        (QUEUE_ROWS_MAX, 1)
    );
    assert!(bench.open(row(1, "another send")).await.is_err());
    intent.close(JournalRow {
        delivery: Some("sent".into()),
        ..row(1, "send")
    });
    assert_eq!(bench.journal.dropped(), 1);
    drop(lock);
    let filter = filter(|f| f.delivery = Some("sent".to_owned()));
    assert_eq!(bench.ids(filter).await, ["send"]);
    assert_eq!(bench.journal.queued_bytes(), 0);
}

async fn an_opened_row_is_on_disk_and_is_closed_as_unknown_after_a_restart(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    let closed = bench.open(row(1, "closed")).await.unwrap();
    let left = bench.open(row(1, "left")).await.unwrap();
    assert!(left.id() > closed.id());
    let open = bench.all(JournalFilter::default()).await;
    assert_eq!(open.iter().filter(|row| row.open).count(), 2);
    closed.close(JournalRow {
        delivery: Some("sent".into()),
        status: Some(200),
        ..row(1, "")
    });
    bench.journal.stop().await;
    assert!(bench.open(row(1, "late")).await.is_err());
    bench.store.close().await;

    let bench = Bench::over(bench.engine).await;
    let rows: Vec<_> = bench
        .all(JournalFilter::default())
        .await
        .into_iter()
        .map(|row| {
            (
                row.request_id.unwrap(),
                row.open,
                row.delivery.unwrap(),
                row.status,
            )
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("closed".to_owned(), false, "sent".into(), Some(200)),
            ("left".to_owned(), false, "unknown".into(), None)
        ]
    );
}

async fn a_failing_store_rejects_intents_and_keeps_rows_until_it_recovers(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    bench.read_only(true).await;
    bench.journal.add(row(1, "kept"));
    assert!(bench.open(row(1, "send")).await.is_err());
    assert!(bench.journal.flush().await.is_err());
    assert_eq!((bench.journal.queued(), bench.journal.dropped()), (1, 0));
    bench.read_only(false).await;
    // A waiting caller makes the writer try immediately.
    let intent = bench.open(row(1, "again")).await.unwrap();
    // The rows are in the order of the later attempt, which may differ.
    let mut ids = bench.ids(JournalFilter::default()).await;
    ids.sort_unstable();
    assert_eq!(ids, ["again", "kept"]);
    drop(intent);
    assert_eq!(
        (bench.journal.queued(), bench.journal.queued_bytes()),
        (0, 0)
    );
}

async fn a_send_on_a_stalled_disk_is_rejected_in_time_and_leaves_no_row(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    let lock = bench.lock().await;
    // The sends run one after the other, so that each hits another moment of the writer's attempts.
    for n in 0..3 {
        let began = std::time::Instant::now();
        let claim = claim(&format!("k-{n}"));
        let opened = bench
            .journal
            .open(row(1, "send"), Some(claim), Instant::now())
            .await;
        assert!(opened.is_err() && began.elapsed() < Duration::from_secs(4));
    }
    assert!(bench.journal.trouble().is_some());
    drop(lock);
    assert!(bench.all(JournalFilter::default()).await.is_empty());
    assert_eq!(bench.journal.trouble(), None);
    assert_eq!(
        (bench.journal.queued(), bench.journal.queued_bytes()),
        (0, 0)
    );
    for n in 0..3 {
        let receipt = bench.store.obstacle(&claim(&format!("k-{n}"))).await;
        assert_eq!(receipt.unwrap(), None);
    }
}

async fn a_row_whose_caller_disconnects_after_the_write_is_withdrawn(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    let mut opening = Box::pin(bench.journal.open(
        row(1, "send"),
        Some(claim("k")),
        Instant::now(),
    ));
    // The future is polled once, and dropped after its row is written and its reply has been sent.
    tokio::select! {
        biased;
        _ = &mut opening => panic!("nothing was written yet"),
        () = std::future::ready(()) => {}
    }
    bench.journal.flush().await.unwrap();
    drop(opening);
    // A task of the runtime sends the reply. This may happen after the flush; the task then finds that no caller waits.
    let patience = std::time::Instant::now() + Duration::from_secs(60);
    while !bench.all(JournalFilter::default()).await.is_empty() {
        assert!(std::time::Instant::now() < patience, "it stays");
    }
    assert_eq!(bench.store.obstacle(&claim("k")).await.unwrap(), None);
    assert_eq!(
        (bench.journal.queued(), bench.journal.queued_bytes()),
        (0, 0)
    );
}

#[expect(clippy::print_stdout, reason = "it prints its figures")]
async fn a_row_whose_caller_timed_out_is_withdrawn_and_its_key_is_free(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    let (mut taken, mut given_up) = (Vec::new(), 0);
    // Callers give up close to the moment in which their row is written, with 300 different waiting times.
    for n in 0..300_u32 {
        let opening = bench
            .journal
            .open(row(1, n), Some(claim(&format!("k-{n}"))), Instant::now());
        let wait = Duration::from_micros((n * 10).into());
        match tokio::time::timeout(wait, opening).await {
            Ok(Ok(OpenResult::Intent(intent))) => {
                taken.push(n.to_string());
                drop(intent.settle(row(1, n), Settlement::Free));
            }
            Ok(_) => panic!("{n} can be written"),
            Err(_) => given_up += 1,
        }
    }
    // Withdrawals are written after their callers have given up.
    bench.journal.flush().await.unwrap();
    assert_eq!(bench.ids(JournalFilter::default()).await, taken);
    assert_eq!(
        (bench.journal.queued(), bench.journal.queued_bytes()),
        (0, 0)
    );
    for n in 0..300_u32 {
        let receipt = bench.store.obstacle(&claim(&format!("k-{n}"))).await;
        assert_eq!(receipt.unwrap(), None, "{n}");
    }
    println!("{given_up} given up, {} taken", taken.len());
}

#[expect(clippy::print_stdout, reason = "it prints its figures")]
async fn outcomes_of_sends_are_never_dropped_while_the_disk_stalls(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    let mut intents = Vec::new();
    for n in 0..1000 {
        intents.push(bench.open(row(1, format!("send-{n}"))).await.unwrap());
    }
    let lock = bench.lock().await;
    let (mut refused, mut most) = (0, 0);
    for n in 0..2 * QUEUE_ROWS_MAX {
        bench.journal.add(row(1, n));
        most = most.max(bench.journal.queued_bytes());
    }
    for (n, intent) in intents.into_iter().enumerate() {
        refused += u64::from(bench.open(row(1, "late")).await.is_err());
        intent.close(JournalRow {
            delivery: Some("sent".into()),
            ..row(1, format!("send-{n}"))
        });
    }
    let dropped = bench.journal.dropped();
    drop(lock);
    let sent = filter(|f| f.delivery = Some("sent".to_owned()));
    let (sends, all) = (
        bench.all(sent).await.len(),
        bench.all(JournalFilter::default()).await,
    );
    assert_eq!(
        (sends, refused, bench.journal.dropped()),
        (1000, 1000, dropped)
    );
    assert_eq!(
        (all.len() as u64, most <= QUEUE_BYTES_MAX),
        (2 * QUEUE_ROWS_MAX as u64 + 1000 - dropped, true)
    );
    println!(
        "a stalled disk: {} rows added, {dropped} dropped, {most} bytes at most; 1000 sends closed, 0 dropped; {refused} refused",
        2 * QUEUE_ROWS_MAX
    );
}

async fn replay_calls_returns_only_calls_that_network_lists_judged(engine: TestEngine) {
    let bench = Bench::over(engine).await;
    let call = |id: &str, at_ms, access: &str, code: Option<&'static str>| JournalRow {
        access: Some(access.to_owned()),
        client: Some("10.0.0.1".parse().unwrap()),
        code: code.map(Into::into),
        ..row(at_ms, id)
    };
    bench.journal.add(call("too old", 1, "a", None));
    bench.journal.add(call("served", 2, "a", None));
    bench
        .journal
        .add(call("refused", 2, "a", Some("IP_NOT_ALLOWED")));
    bench
        .journal
        .add(call("suspended", 2, "a", Some("ACCESS_DISABLED")));
    let upstreams = JournalRow {
        upstream_code: Some("ACCESS_DISABLED".into()),
        ..call("rejected by the upstream", 2, "a", Some("ACCESS_DISABLED"))
    };
    bench.journal.add(upstreams);
    bench.journal.add(call("another's", 2, "b", None));
    bench.journal.flush().await.unwrap();
    let first = bench.store.replay_calls("a", (2, 0), 1).await.unwrap();
    let rest = bench
        .store
        .replay_calls("a", (2, first[0].id), 9)
        .await
        .unwrap();
    let ids: Vec<_> = first
        .iter()
        .chain(&rest)
        .map(|call| call.request_id.as_str())
        .collect();
    assert_eq!(ids, ["served", "refused", "rejected by the upstream"]);
}
