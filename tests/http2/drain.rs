//! Tests of the end of HTTP/2 connections while the gateway drains.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::harness::http2::*;
use crate::harness::{Gateway, PATIENCE, UPSTREAM_ENVIRONMENT, accepted};
use crate::tls::{Files, Pair};

/// Starts a gateway with TLS in front of this upstream.
fn gateway_in_front(upstream: &TcpListener, pair: &Pair, files: &Files) -> Gateway {
    let toml = format!(
        "{}{}[[accesses]]\nname = \"a\"\nuser = \"a\"\npassword = \"env:A\"\nallow = [\"127.0.0.1\"]\n",
        crate::harness::upstream(upstream.local_addr().unwrap()),
        files.section("tls", pair)
    );
    files.start_with(&toml, &[UPSTREAM_ENVIRONMENT, ("A", "correct horse")])
}

#[tokio::test]
async fn a_drain_finishes_http_2_calls_and_closes_idle_connections() {
    let (pair, files) = (Pair::new(), Files::new());
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = gateway_in_front(&upstream, &pair, &files);
    let rests = Peer::connect(&pair, &gateway).await;
    let mut asks = Peer::connect(&pair, &gateway).await;
    let path = "/api/http/?class=chat&method=getchatchannels&user=a&password=correct%20horse";
    asks.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &get(path)))
        .await;
    let mut call = accepted(&upstream).await;
    crate::sends::read_request(&mut call).await;
    gateway.process.signal("TERM");
    gateway
        .process
        .wait_for("the drain", |line| line.contains("draining"));
    // The idle connection ends within the timeout's second, while the other one's call is still under way.
    assert!(rests.ended().await < Duration::from_secs(5));
    let body = r#"{"status":"SUCCESS","result":{"list":[]}}"#;
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    call.write_all(answer.as_bytes()).await.unwrap();
    let mut status = None;
    while status.is_none() {
        let (kind, _, _, payload) = asks.receive().await.unwrap();
        status = (kind == HEADERS).then(|| payload[0]);
    }
    assert_eq!(status, Some(OK));
    let began = Instant::now();
    assert_eq!(gateway.process.ended().0, Some(0));
    assert!(began.elapsed() < Duration::from_secs(10));
}

/// Answers each call with a list of as many messages of a kibibyte as the call's `platformid` says, until the test ends.
async fn answer_with_long_lists(upstream: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        let mut call = accepted(&upstream).await;
        connections.spawn(async move {
            let request = crate::sends::read_request(&mut call).await;
            let (_, count) = request.split_once("platformid=").unwrap();
            let count: String = count.chars().take_while(char::is_ascii_digit).collect();
            let message = json!({"platformid": count, "message": "x".repeat(1024), "sent": "1"});
            let list = vec![message; count.parse().unwrap()];
            let body = json!({"status": "SUCCESS", "result": {"list": list}}).to_string();
            let head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length:";
            let answer = format!("{head} {}\r\n\r\n{body}", body.len());
            call.write_all(answer.as_bytes()).await.unwrap();
        });
    }
}

/// Reads the whole answer to the only request as a client does: acknowledges PING and reports what it has taken.
async fn take_answer(mut peer: Peer) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let next = tokio::time::timeout(PATIENCE, peer.receive())
            .await
            .unwrap();
        let Some((kind, flags, _, payload)) = next else {
            panic!("the answer ends after {} bytes", body.len());
        };
        if kind == DATA && !payload.is_empty() {
            let taken = u32::try_from(payload.len()).unwrap().to_be_bytes();
            peer.send(&frame(WINDOW_UPDATE, 0, 0, &taken)).await;
        } else if kind == PING && flags == 0 {
            peer.send(&frame(PING, 1, 0, &payload)).await;
        }
        if kind == DATA {
            body.extend(payload);
            if flags & END_STREAM != 0 {
                return body;
            }
        }
    }
}

#[tokio::test]
async fn a_drain_waits_until_http_2_clients_have_taken_their_answers() {
    /// Sizes of the answers in KiB. The buffers between gateway and client hold some of them whole and a part of the others.
    const SIZES: std::ops::Range<usize> = 50..1200;
    let (pair, files) = (Pair::new(), Files::new());
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = gateway_in_front(&upstream, &pair, &files);
    let mut answering = JoinSet::new();
    answering.spawn(answer_with_long_lists(upstream));
    let mut waiting = Vec::new();
    for size in SIZES.step_by(50) {
        // A window of 16 MiB for each stream, and one for the connection.
        let mut peer = Peer::with_settings(&pair, &gateway, &[0, 4, 1, 0, 0, 0]).await;
        assert!(peer.send(&frame(WINDOW_UPDATE, 0, 0, &[1, 0, 0, 0])).await);
        let path = format!(
            "/api/http/?class=chat&method=getchats&platform=whatsapp&platformid={size}&user=a&password=correct%20horse"
        );
        let call = frame(HEADERS, END_HEADERS | END_STREAM, 1, &get(&path));
        assert!(peer.send(&call).await);
        while peer.receive().await.unwrap().0 != HEADERS {}
        waiting.push((size, peer));
    }
    let rests = Peer::connect(&pair, &gateway).await;
    gateway.process.signal("TERM");
    // An idle connection ends first. By then the gateway has written as much of each answer as the buffers hold.
    rests.ended().await;
    for (size, peer) in waiting {
        let body = take_answer(peer).await;
        let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let list = answer["result"]["list"].as_array().unwrap();
        assert_eq!(list.len(), size);
    }
    assert_eq!(gateway.process.ended().0, Some(0));
}
