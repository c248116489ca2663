//! Tests of HTTP/2 with well-behaved and with hostile clients: raw frames over TLS.

mod drain;

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::http2::*;
use crate::harness::{Gateway, PATIENCE, assert_within, skipped};
use crate::tls::{Pair, gateway};

fn demo_read_path(gateway: &Gateway) -> String {
    let demo = gateway.demo();
    format!(
        "/api/http/?class=chat&method=getchatchannels&user={}&password={}",
        demo.user, demo.password
    )
}

#[tokio::test]
async fn many_calls_share_one_http_2_connection_and_http_1_1_stays_available() {
    let pair = Pair::new();
    let (gateway, _files) = gateway(&pair, "");
    let mut peer = Peer::connect(&pair, &gateway).await;
    let head = get(&demo_read_path(&gateway));
    let calls: Vec<_> = (0..50)
        .flat_map(|n| frame(HEADERS, END_HEADERS | END_STREAM, n * 2 + 1, &head))
        .collect();
    assert!(peer.send(&calls).await);
    let (heads, bodies) = answers(&mut peer, 50).await;
    assert!(heads.iter().all(|head| head[0] == OK), "{heads:?}");
    let bodies = String::from_utf8(bodies).unwrap();
    assert_eq!(bodies.matches("SUCCESS").count(), 50, "{bodies}");
    let old = shake(&pair, &gateway, &["http/1.1"]).await;
    assert_eq!(old.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let none = shake(&pair, &gateway, &[]).await;
    assert_eq!(none.get_ref().1.alpn_protocol(), None);
}

#[tokio::test]
async fn http_2_is_rejected_without_tls() {
    let gateway = Gateway::start();
    let mut stream = TcpStream::connect(gateway.public).await.unwrap();
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&hello).await.unwrap();
    let mut back = Vec::new();
    let _ = stream.read_to_end(&mut back).await;
    assert!(
        back.is_empty() || back.starts_with(b"HTTP/1.1 400"),
        "{back:?}"
    );
}

#[tokio::test]
async fn the_http_2_authority_must_be_a_host_and_match_the_host_header() {
    let pair = Pair::new();
    let (gateway, _files) = gateway(&pair, "");
    let path = demo_read_path(&gateway);
    let with = |fields: &[(&str, &str)]| {
        let mut head = vec![0x82, 0x87];
        for (name, value) in fields {
            head.extend(field(name, value));
        }
        head
    };
    let path = (":path", &*path);
    let cases = [
        (with(&[path, (":authority", "a.example")]), OK),
        (
            with(&[path, (":authority", "a.example"), ("host", "a.example")]),
            OK,
        ),
        (with(&[path, ("host", "a.example")]), OK),
        (
            with(&[path, (":authority", "a.example"), ("host", "A.Example")]),
            OK,
        ),
        (
            with(&[path, (":authority", "a.example"), ("host", "b.example")]),
            BAD_REQUEST,
        ),
        (
            with(&[path, ("host", "a.example"), ("host", "a.example")]),
            BAD_REQUEST,
        ),
        (with(&[path]), BAD_REQUEST),
        (with(&[path, (":authority", "u:p@a.example")]), BAD_REQUEST),
    ];
    let mut peer = Peer::connect(&pair, &gateway).await;
    for (number, (head, status)) in cases.into_iter().enumerate() {
        let stream = u32::try_from(number).unwrap() * 2 + 1;
        let call = frame(HEADERS, END_HEADERS | END_STREAM, stream, &head);
        assert!(peer.send(&call).await);
        let (heads, _) = answers(&mut peer, 1).await;
        assert_eq!(heads[0][0], status, "case {number}");
    }
}

#[tokio::test]
async fn an_http_2_answer_to_head_has_no_body() {
    let pair = Pair::new();
    let (gateway, _files) = gateway(&pair, "");
    let mut peer = Peer::connect(&pair, &gateway).await;
    let served = demo_read_path(&gateway);
    for path in [
        &*served,
        "/api/http/?class=chat",
        "/api/soap/",
        "/api/soap/?wsdl",
        "/nothing",
        "/docs/",
    ] {
        // HPACK's table has no method HEAD, so its name and value are written out.
        let mut head = vec![0x87];
        for (name, value) in [
            (":method", "HEAD"),
            (":path", path),
            (":authority", "a.example"),
        ] {
            head.extend(field(name, value));
        }
        let stream = peer.request(&head, &[]).await;
        let (_, body) = peer.answer(stream).await;
        assert_eq!(body, "", "{path}");
    }
}

/// Returns the Content-Length of an answer by HTTP/1.1 and the number of bytes of its body.
async fn length_by_http_1(pair: &Pair, gateway: &Gateway, method: &str, path: &str) -> (u64, u64) {
    let mut stream = shake(pair, gateway, &["http/1.1"]).await;
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let end = answer
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length = length.unwrap_or_else(|| panic!("{method} {path}: {head}"));
    (length.parse().unwrap(), (answer.len() - end - 4) as u64)
}

/// Returns the same by HTTP/2.
async fn length_by_http_2(pair: &Pair, gateway: &Gateway, method: &str, path: &str) -> (u64, u64) {
    let stream = shake(pair, gateway, &["h2"]).await;
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::builder().method(method);
    let request = request
        .uri(format!("https://a.example{path}"))
        .body(())
        .unwrap();
    let (response, _) = sender
        .ready()
        .await
        .unwrap()
        .send_request(request, true)
        .unwrap();
    let response = response.await.unwrap();
    let length = response.headers().get("content-length");
    let length = length.unwrap_or_else(|| panic!("{method} {path}: {response:?}"));
    let length = length.to_str().unwrap().parse().unwrap();
    let (mut body, mut bytes) = (response.into_body(), 0);
    while let Some(data) = body.data().await {
        bytes += data.unwrap().len() as u64;
    }
    (length, bytes)
}

#[tokio::test]
async fn head_returns_the_content_length_of_get_over_both_http_versions() {
    let pair = Pair::new();
    let (gateway, _files) = gateway(&pair, "");
    for path in [
        "/.well-known/jwks.json",
        "/.well-known/oauth-authorization-server",
        "/docs/",
        "/docs/docs.css",
        "/docs/nothing",
        "/nothing",
        "/api/soap/?wsdl",
    ] {
        let (length, bytes) = length_by_http_1(&pair, &gateway, "GET", path).await;
        assert!(length > 0 && length == bytes, "{path}: {length}, {bytes}");
        let head = length_by_http_1(&pair, &gateway, "HEAD", path).await;
        assert_eq!(head, (length, 0), "HEAD {path} by HTTP/1.1");
        let get = length_by_http_2(&pair, &gateway, "GET", path).await;
        assert_eq!(get, (length, length), "GET {path} by HTTP/2");
        let head = length_by_http_2(&pair, &gateway, "HEAD", path).await;
        assert_eq!(head, (length, 0), "HEAD {path} by HTTP/2");
    }
}

/// Floods a connection in one way and returns the number of bytes after which it ended.
async fn flood_until_closed(kind: &str, mut peer: Peer, head: &[u8]) -> usize {
    // A thousand frames per write, because the cost of writing is not what the test measures.
    let many = |frame: Vec<u8>| frame.repeat(1000);
    let open = frame(HEADERS, END_HEADERS, 1, head);
    match kind {
        "reset" => {
            let pair_of = |number: u32| {
                let stream = number * 2 + 1;
                let cancel = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
                [
                    frame(HEADERS, END_HEADERS | END_STREAM, stream, head),
                    cancel,
                ]
                .concat()
            };
            peer.flood(|n| (n * 100..n * 100 + 100).flat_map(pair_of).collect())
                .await
        }
        "continuation" => {
            peer.send(&frame(HEADERS, 0, 1, head)).await;
            peer.flood(|_| many(frame(CONTINUATION, 0, 1, &[]))).await
        }
        "endless head" => {
            peer.send(&frame(HEADERS, 0, 1, head)).await;
            let piece = field("x-much", &"x".repeat(100)).repeat(100);
            peer.flood(|_| frame(CONTINUATION, 0, 1, &piece)).await
        }
        "ping" => peer.flood(|_| many(frame(PING, 0, 0, &[0; 8]))).await,
        "settings" => peer.flood(|_| many(frame(SETTINGS, 0, 0, &[]))).await,
        "window" => {
            peer.send(&open).await;
            peer.flood(|_| frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes()).repeat(500))
                .await
        }
        "empty data" => {
            peer.send(&open).await;
            peer.flood(|_| many(frame(DATA, 0, 1, &[]))).await
        }
        "priority" => peer.flood(|_| many(frame(2, 0, 3, &[0, 0, 0, 0, 1]))).await,
        _ => {
            let reset = |n: u32| frame(RST_STREAM, 0, n % 1_000_000 * 2 + 1, &[0; 4]);
            peer.flood(|n| (0..100).flat_map(|m| reset(n * 100 + m)).collect())
                .await
        }
    }
}

#[tokio::test]
async fn an_http_2_flood_ends_its_connection_and_others_are_served() {
    let pair = Pair::new();
    let (gateway, _files) = gateway(&pair, "");
    let path = demo_read_path(&gateway);
    let head = get("/nothing");
    let mut before = None;
    for kind in [
        "reset",
        "continuation",
        "endless head",
        "ping",
        "settings",
        "window",
        "empty data",
        "priority",
        "idle reset",
    ] {
        let peer = Peer::connect(&pair, &gateway).await;
        let began = Instant::now();
        let sent = flood_until_closed(kind, peer, &head).await;
        println!(
            "h2 flood of {kind}: ended after {sent} bytes and {:?}",
            began.elapsed()
        );
        let mut good = Peer::connect(&pair, &gateway).await;
        let call = frame(HEADERS, END_HEADERS | END_STREAM, 1, &get(&path));
        assert!(good.send(&call).await);
        assert_eq!(answers(&mut good, 1).await.0[0][0], OK, "{kind}");
        let rss = gateway.process.rss();
        let before = *before.get_or_insert(rss);
        assert!(
            rss < before + 16 * 1024 * 1024,
            "{kind}: from {before} to {rss}"
        );
    }
}

#[tokio::test]
async fn too_many_header_lines_get_431_and_the_connection_stays_open() {
    let pair = Pair::new();
    let (gateway, _files) = gateway(&pair, "");
    let mut peer = Peer::connect(&pair, &gateway).await;
    let mut head = get("/nothing");
    head.extend(field("x-line", "1").repeat(101));
    assert!(
        peer.send(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &head))
            .await
    );
    let (heads, bodies) = answers(&mut peer, 1).await;
    // Status 431, written out after the index of the name.
    assert!(
        heads[0].starts_with(&[0x48]) && bodies.is_empty(),
        "{heads:?}"
    );
    let call = frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        3,
        &get(&demo_read_path(&gateway)),
    );
    assert!(peer.send(&call).await);
    assert_eq!(answers(&mut peer, 1).await.0[0][0], OK);
}

#[tokio::test]
async fn every_wait_for_an_http_2_peer_has_a_deadline() {
    let pair = Pair::new();
    let limits = "[limits]\nheader_timeout = \"1s\"\nidle_timeout = \"2s\"\nbody_timeout = \"1s\"\n\
                  request_timeout = \"2s\"\nwrite_timeout = \"1s\"\nrate = \"1MiB\"\n";
    let (gateway, _files) = gateway(&pair, limits);
    let within = |took: Duration, seconds: u64| {
        let least = Duration::from_millis(seconds * 1000 - 200);
        assert!(took > least, "{took:?}");
        assert_within(took, Duration::from_secs(seconds + 1));
    };
    // A connection without a request, and one with a head that does not end.
    let silent = Peer::connect(&pair, &gateway).await;
    let mut half = Peer::connect(&pair, &gateway).await;
    half.send(&frame(HEADERS, 0, 1, &get("/nothing"))).await;
    let (silent, half) = tokio::join!(silent.ended(), half.ended());
    within(silent, 1);
    within(half, 1);
    // A connection that idles after an answer.
    let mut rests = Peer::connect(&pair, &gateway).await;
    rests
        .send(&frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            1,
            &get("/nothing"),
        ))
        .await;
    answers(&mut rests, 1).await;
    within(rests.ended().await, 2);
    // A flow-control window of zero, so that the document is never taken.
    let mut stalls = Peer::with_settings(&pair, &gateway, &[0, 4, 0, 0, 0, 0]).await;
    stalls
        .send(&frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            1,
            &get("/api/soap/?wsdl"),
        ))
        .await;
    within(stalls.ended().await, 1);
    // A request whose body does not arrive is answered, and its connection idles afterwards.
    let mut withholds = Peer::connect(&pair, &gateway).await;
    let mut head = vec![0x83, 0x87];
    head.extend(field(":authority", "a"));
    head.extend(field(":path", "/api/http/"));
    head.extend(field("content-type", "application/x-www-form-urlencoded"));
    withholds.send(&frame(HEADERS, END_HEADERS, 1, &head)).await;
    let began = Instant::now();
    assert_eq!(answers(&mut withholds, 1).await.0[0][0], BAD_REQUEST);
    within(began.elapsed(), 1);
}

#[test]
fn curl_gets_its_answer_over_http_2() {
    let version = std::process::Command::new("curl")
        .arg("--version")
        .output()
        .unwrap();
    if !String::from_utf8_lossy(&version.stdout).contains("HTTP2") {
        skipped("this curl does not speak HTTP/2");
        return;
    }
    let pair = Pair::new();
    let (gateway, files) = gateway(&pair, "");
    let url = format!("https://{}{}", gateway.public, demo_read_path(&gateway));
    let ca = files.section("tls", &pair);
    let ca = ca.split('"').nth(1).unwrap();
    let format = "\n%{http_version} %{http_code}";
    let reported = std::process::Command::new("curl")
        .args(["-sS", "--http2", "--cacert", ca, "-w", format, &url])
        .output()
        .unwrap();
    let reported = String::from_utf8(reported.stdout).unwrap();
    assert!(
        reported.contains("SUCCESS") && reported.ends_with("\n2 200"),
        "{reported}"
    );
}

#[tokio::test]
async fn eight_refusals_in_a_row_end_an_http_2_connection_after_its_answers() {
    let pair = Pair::new();
    let (gateway, _files) = gateway(&pair, "");
    let mut peer = Peer::connect(&pair, &gateway).await;
    let call = |stream: u32, path: &str| {
        let head = get(path);
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &head)
    };
    // Seven refusals, one authenticated call, and seven more refusals.
    let proven = demo_read_path(&gateway);
    let paths = (0..15).map(|n| if n == 7 { &*proven } else { "/nowhere" });
    for (stream, path) in (1..).step_by(2).zip(paths) {
        assert!(peer.send(&call(stream, path)).await);
        let (heads, _) = answers(&mut peer, 1).await;
        assert_eq!(heads.len(), 1, "{path}");
    }
    assert!(peer.send(&call(31, "/nowhere")).await);
    let (mut is_answered, mut goes_away) = (false, false);
    let end = async {
        while let Some((kind, flags, stream, _)) = peer.receive().await {
            is_answered |= stream == 31 && flags & END_STREAM != 0;
            goes_away |= kind == GOAWAY;
        }
    };
    let ended = tokio::time::timeout(PATIENCE, end).await;
    ended.expect("the connection is still open");
    assert!(is_answered && goes_away, "{is_answered} {goes_away}");
}

#[tokio::test]
async fn a_peer_that_ignores_goaway_is_disconnected() {
    /// The number of answers: the requests that may have been under way when the peer got GOAWAY, and at most twice as many as it
    /// may still make.
    const ANSWERED: std::ops::Range<u32> = 100..230;
    let pair = Pair::new();
    let limits = "[limits]\nper_address_per_minute = 100000\nbody_timeout = \"60s\"\n";
    let (gateway, _files) = gateway(&pair, limits);
    let mut peer = Peer::connect(&pair, &gateway).await;
    // A form that never arrives, because without a request under way the connection would end anyway.
    let form = ("content-type", "application/x-www-form-urlencoded");
    peer.begin(&head(POST, "/api/http/", &[form])).await;
    let (mut answered, mut goes_away) = (0, false);
    let refusals = async {
        // The gateway does not tell a peer that acknowledges no PING which of its requests is the last one.
        for stream in (3..).step_by(2).take(ANSWERED.end as usize) {
            let call = frame(HEADERS, END_HEADERS | END_STREAM, stream, &get("/nowhere"));
            if !peer.send(&call).await {
                return;
            }
            loop {
                let Some((kind, flags, of, _)) = peer.receive().await else {
                    return;
                };
                goes_away |= kind == GOAWAY;
                if of == stream && flags & END_STREAM != 0 {
                    break;
                }
            }
            answered += 1;
        }
    };
    let ended = tokio::time::timeout(PATIENCE, refusals).await;
    ended.expect("the connection is open and nothing comes");
    assert!(goes_away, "{answered} answered");
    assert!(ANSWERED.contains(&answered), "{answered} answered");
}
