//! Callers who close their side of a connection while `getevents` waits or a stream is open.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::reading::{SALES, UNLIMITED, logged, now, write};
use crate::harness::{Gateway, until};

/// How long a caller would wait who did not leave, in seconds.
const WAIT_S: u64 = 25;

/// How often a stream shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Begins to wait over a connection of its own.
async fn begin(gateway: &Gateway, cursor: &str) -> TcpStream {
    let path = format!("basic/?class=chat&method=getevents&wait={WAIT_S}&cursor={cursor}");
    get(gateway, &path).await
}

async fn get(gateway: &Gateway, path: &str) -> TcpStream {
    let (demo, mut stream) = (
        gateway.demo(),
        TcpStream::connect(gateway.public).await.unwrap(),
    );
    let credentials = BASE64_STANDARD.encode(format!("{}:{}", demo.user, demo.password));
    let request = format!(
        "GET /api/{path} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Basic {credentials}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    until_waiting(gateway, 1).await;
    stream
}

async fn until_waiting(gateway: &Gateway, count: usize) {
    let gauge = format!("chatgate_event_streams {count}");
    until(&gauge, async || {
        gateway.metrics().await.lines().any(|line| line == gauge)
    })
    .await;
}

async fn read_until(stream: &mut TcpStream, wanted: &str) {
    let mut answer = String::new();
    while !answer.contains(wanted) {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap();
        assert_ne!(read, 0, "{answer}");
        answer.push_str(std::str::from_utf8(&piece[..read]).unwrap());
    }
}

#[tokio::test]
async fn a_caller_who_hangs_up_gives_its_place_back_and_one_who_closes_its_side_is_answered() {
    let gateway = Gateway::configured(UNLIMITED, &[]);
    // Channels are looked at since then.
    logged(&gateway, 1).await;
    // The stream that read them is noticed to be gone when something is written to it.
    until_waiting(&gateway, 0).await;
    let cursor = now(&gateway).await;
    let began = Instant::now();
    drop(begin(&gateway, &cursor).await);
    until_waiting(&gateway, 0).await;

    let mut half_closed = begin(&gateway, &cursor).await;
    half_closed.shutdown().await.unwrap();
    let mut answer = String::new();
    half_closed.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains(r#""status":"SUCCESS""#), "{answer}");
    assert!(answer.contains(r#""list":[]"#), "{answer}");
    until_waiting(&gateway, 0).await;
    assert!(
        began.elapsed() < Duration::from_secs(WAIT_S),
        "both were noticed before the wait was over"
    );

    // A caller who stays goes on waiting for what comes.
    let mut waiting = begin(&gateway, &cursor).await;
    write(&gateway, SALES, "34600000001", "hello").await;
    read_until(&mut waiting, "hello").await;
}

#[tokio::test]
async fn a_reader_who_hangs_up_gives_its_place_back_and_one_who_closes_its_side_reads_on() {
    let gateway = Gateway::configured(UNLIMITED, &[]);
    logged(&gateway, 1).await;
    until_waiting(&gateway, 0).await;
    let began = Instant::now();
    for _ in 0..3 {
        drop(get(&gateway, "events?cursor=now").await);
        until_waiting(&gateway, 0).await;
    }
    assert!(
        began.elapsed() < HEARTBEAT,
        "they were noticed before the next sign of life was due"
    );

    let mut half_closed = get(&gateway, "events?cursor=now").await;
    half_closed.shutdown().await.unwrap();
    write(&gateway, SALES, "34600000001", "hello").await;
    read_until(&mut half_closed, "hello").await;
}
