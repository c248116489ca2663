//! Measures how long an operator waits for pages over a long journal.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use store::{Journal, JournalPayload, JournalRow, Store};

use super::{Visitor, pages};
use crate::harness::{Gateway, assert_within, load};

/// Maximum median time of a page over [`TRIES`].
const PAGE_MAX: Duration = Duration::from_millis(100);
const TRIES: usize = 5;

/// Number of rows on every day, and for a release.
const ROWS: (usize, usize) = (30_000, 1_000_000);

/// Number of rows after which the test waits for the writer.
const BURST: usize = 10_000;

/// Milliseconds between two rows, so that a million rows span a day.
const STEP_MS: i64 = 86;

fn row(n: i64, at_ms: i64) -> JournalRow {
    let is_refused = n % 10 == 0;
    let address = u32::try_from(n % 50_000).unwrap();
    JournalRow {
        at_ms,
        request_id: Some(format!("0190a5e4-7b00-7000-8000-{n:012x}")),
        way: Some("basic".into()),
        access: Some(if n % 1000 == 0 {
            "demo".to_owned()
        } else {
            format!("access-{}", n % 2000)
        }),
        method: Some(
            if n % 3 == 0 {
                "sendmessage"
            } else {
                "getchats"
            }
            .into(),
        ),
        http_method: Some("POST".into()),
        path: Some("/api/basic/".into()),
        client: Some(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + address))),
        status: Some(if is_refused { 403 } else { 200 }),
        canonical: Some(if is_refused { 403 } else { 200 }),
        code: is_refused.then(|| "IP_NOT_ALLOWED".into()),
        total_us: Some(2345),
        user_agent: Some("python-requests/2.32.3".to_owned()),
        payload: JournalPayload {
            parameters: Some("platform=whatsapp platformid=100".to_owned()),
            ..JournalPayload::default()
        },
        ..JournalRow::default()
    }
}

/// Writes rows into the store of a gateway that is not running.
async fn fill(gateway: &std::path::Path, rows: usize) {
    let store = Store::open(&gateway.join("chatgate.db")).await.unwrap();
    let store = Arc::new(store);
    let journal = Journal::start(&store).await.unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now_ms = i64::try_from(now.as_millis()).unwrap();
    let rows = i64::try_from(rows).unwrap();
    for n in 0..rows {
        journal.add(row(n, now_ms - (rows - n) * STEP_MS));
        if n % BURST as i64 == 0 {
            journal.flush().await.unwrap();
        }
    }
    journal.flush().await.unwrap();
    assert_eq!(journal.dropped(), 0);
    journal.stop().await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_over_a_long_journal_stays_within_its_time_limit() {
    let rows = load(ROWS.0, ROWS.1);
    let first = Gateway::start();
    let folder = Arc::clone(&first.folder);
    first.process.signal("TERM");
    first.process.ended();
    fill(&folder.path().join("data"), rows).await;
    let gateway = Gateway::over(folder, "", &[]);
    let visitor = Visitor::first(&gateway).await;
    let mut asked = pages(&gateway).await;
    for (name, filter) in [
        ("of an access", "access=demo"),
        ("of a code", "status=IP_NOT_ALLOWED"),
        ("of a network", "ip=10.0.0.0/24"),
        ("of a wide network", "ip=10.0.0.0/8&since=7d"),
        ("of what is not there", "request_id=none"),
        (
            "of a method that failed",
            "method=sendmessage&status=403&access=demo",
        ),
    ] {
        asked.push((name, format!("/console/journal?{filter}")));
    }
    let mut slowest = (Duration::ZERO, "");
    for (name, path) in &asked {
        let mut times = Vec::new();
        for _ in 0..TRIES {
            let began = Instant::now();
            let page = visitor.page(path).await;
            times.push(began.elapsed());
            assert!(matches!(page.status, 200 | 404), "{path}: {}", page.status);
        }
        times.sort();
        let time = times[TRIES / 2];
        slowest = slowest.max((time, name));
    }
    println!(
        "pages: {} of them over {rows} rows, the slowest, {}, in {:.1} ms",
        asked.len(),
        slowest.1,
        slowest.0.as_secs_f64() * 1e3
    );
    assert_within(slowest.0, PAGE_MAX);
}
