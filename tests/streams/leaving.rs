//! Tests of callers that close their side of a connection while `getevents` waits or a stream is open.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::reading::{SALES, UNLIMITED, logged, now, write};
use crate::harness::{Gateway, until};

/// The wait of a caller that does not disconnect, in seconds.
const WAIT_S: u64 = 25;

/// Interval between the heartbeats of a stream.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Begins to wait over its own connection.
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
async fn a_waiting_getevents_call_ends_when_its_caller_disconnects_or_half_closes() {
    let gateway = Gateway::configured(UNLIMITED, &[]);
    // The channels are polled since then.
    logged(&gateway, 1).await;
    // When something is written to the dropped stream, the gateway notices that it is gone.
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

    // A caller that stays connected continues to wait for events.
    let mut waiting = begin(&gateway, &cursor).await;
    write(&gateway, SALES, "34600000001", "hello").await;
    read_until(&mut waiting, "hello").await;
}

#[tokio::test]
async fn a_stream_ends_when_its_reader_disconnects_but_not_on_a_half_close() {
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
