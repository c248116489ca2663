//! Tests of the PROXY protocol: callers that a trusted proxy names, and connections that are closed without an answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::Gateway;
use crate::lifecycle::open;

const SECRET: &str = "cgs_proxied-proxied-proxied-proxied-proxied-pro";

const CONFIGURATION: &str = r#"
[server]
proxy_protocol = true
trusted_proxies = ["127.0.0.100/32", "203.0.113.200/32"]
[limits]
connections_per_address = 2
[[accesses]]
name = "a"
user = "a"
password = "env:SECRET"
allow = ["127.0.0.100/32", "203.0.113.0/24", "2001:db8::/32"]
"#;

fn gateway() -> Gateway {
    let folder = Arc::new(TempDir::new().unwrap());
    Gateway::over(folder, CONFIGURATION, &[("SECRET", SECRET)])
}

const PROXY: [u8; 4] = [127, 0, 0, 100];

/// Returns a whole call with this id for the log.
fn call(id: &str, forwarded: &str) -> String {
    let body = format!("class=chat&method=getchatchannels&user=a&password={SECRET}");
    format!(
        "POST /api/http/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-ID: {id}\r\n{forwarded}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn connect(gateway: &Gateway, source: [u8; 4]) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((source, 0).into()).unwrap();
    socket.connect(gateway.public).await.unwrap()
}

/// Returns everything that arrives until the connection ends. A reset counts as an end as well.
async fn rest(mut stream: TcpStream) -> String {
    let mut back = Vec::new();
    let _ = stream.read_to_end(&mut back).await;
    String::from_utf8(back).unwrap()
}

/// Sends header and call in one piece, as a fast proxy does.
async fn sent(gateway: &Gateway, source: [u8; 4], header: &[u8], call: &str) -> String {
    let mut stream = connect(gateway, source).await;
    let piece = [header, call.as_bytes()].concat();
    stream.write_all(&piece).await.unwrap();
    rest(stream).await
}

/// Returns a header of version 2.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [
        b"\r\n\r\n\0\r\nQUIT\n",
        &[command, family][..],
        &length,
        rest,
    ]
    .concat()
}

/// Returns a header of version 2 with source and target, followed by an extension.
fn v2_from(source: std::net::IpAddr) -> Vec<u8> {
    let extension = [4, 0, 3, 1, 2, 3];
    let ports = [0x30, 0x39, 0x01, 0xbb];
    match source {
        std::net::IpAddr::V4(v4) => {
            let rest = [&v4.octets()[..], &[198, 51, 100, 1], &ports, &extension].concat();
            v2(0x21, 0x11, &rest)
        }
        std::net::IpAddr::V6(v6) => {
            let rest = [&v6.octets()[..], &[9; 16], &ports, &extension].concat();
            v2(0x21, 0x21, &rest)
        }
    }
}

#[tokio::test]
async fn the_caller_is_the_address_that_a_trusted_proxy_names() {
    let gateway = gateway();
    let v1 = |text: &str| text.as_bytes().to_vec();
    let of = |addresses: &str| v1(&format!("PROXY {addresses} 12345 443\r\n"));
    let xff = "X-Forwarded-For: 203.0.113.9\r\n";
    for (n, (header, forwarded, client, may)) in [
        (of("TCP4 203.0.113.7 198.51.100.1"), "", "203.0.113.7", true),
        (of("TCP4 192.0.2.7 198.51.100.1"), "", "192.0.2.7", false),
        (of("TCP6 2001:db8::7 2001:db8::1"), "", "2001:db8::7", true),
        (of("TCP6 2001:db9::7 2001:db8::1"), "", "2001:db9::7", false),
        (of("TCP6 ::ffff:203.0.113.7 ::1"), "", "203.0.113.7", true),
        (v2_from([203, 0, 113, 7].into()), "", "203.0.113.7", true),
        (v2_from([192, 0, 2, 7].into()), "", "192.0.2.7", false),
        (
            v2_from("2001:db8::7".parse().unwrap()),
            "",
            "2001:db8::7",
            true,
        ),
        (
            v2_from("2001:db9::7".parse().unwrap()),
            "",
            "2001:db9::7",
            false,
        ),
        // The proxy's own connection.
        (v1("PROXY UNKNOWN\r\n"), "", "127.0.0.100", true),
        (v2(0x20, 0, &[]), "", "127.0.0.100", true),
        // The named address is judged like any peer: only a trusted one may name another caller.
        (v2_from([203, 0, 113, 7].into()), xff, "203.0.113.7", true),
        (v2_from([203, 0, 113, 200].into()), xff, "203.0.113.9", true),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("proxied-{n}");
        let answer = sent(&gateway, PROXY, &header, &call(&id, forwarded)).await;
        assert_eq!(answer.contains("SUCCESS"), may, "{n}: {answer}");
        assert_eq!(answer.contains("IP_NOT_ALLOWED"), !may, "{n}: {answer}");
        assert_eq!(gateway.logged(&id)["client"], client, "{n}");
    }
}

/// On a connection that carries no other caller's calls, the caller is the proxy, whatever headers the client has written.
#[tokio::test]
async fn forwarded_headers_on_a_proxys_own_connection_are_ignored() {
    let gateway = gateway();
    let v1 = |text: &str| text.as_bytes().to_vec();
    let (xff, garbage) = (
        "X-Forwarded-For: 203.0.113.9\r\n",
        "X-Forwarded-For: garbage\r\n",
    );
    for (n, (header, forwarded)) in [
        (v1("PROXY UNKNOWN\r\n"), xff),
        (v1("PROXY UNKNOWN 203.0.113.200 ::1 1 2\r\n"), xff),
        (v2(0x20, 0, &[]), xff),
        (v2(0x20, 0x11, &[203; 12]), xff),
        (v2(0x21, 0, &[]), xff),
        (v2(0x20, 0, &[]), garbage),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("own-{n}");
        let trace = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
        let answer = sent(
            &gateway,
            PROXY,
            &header,
            &call(&id, &format!("{forwarded}{trace}")),
        )
        .await;
        assert!(answer.contains("SUCCESS"), "{n}: {answer}");
        let logged = gateway.logged(&id);
        assert_eq!(logged["client"], "127.0.0.100", "{n}");
        assert_eq!(logged["trace_id"], serde_json::Value::Null, "{n}: {logged}");
    }
    // If the same peer names itself, it passes calls on.
    let named = b"PROXY TCP4 127.0.0.100 198.51.100.1 12345 443\r\n";
    sent(&gateway, PROXY, named, &call("named", xff)).await;
    assert_eq!(gateway.logged("named")["client"], "203.0.113.9");
}

#[tokio::test]
async fn a_missing_invalid_or_untrusted_proxy_header_closes_the_connection() {
    let gateway = gateway();
    let line = b"PROXY TCP4 203.0.113.7 198.51.100.1 12345 443\r\n";
    let right = v2_from([203, 0, 113, 7].into());
    let long_line = format!("PROXY UNKNOWN {}\r\n", "x".repeat(107));
    for (source, header) in [
        ([127, 0, 0, 1], &line[..]),
        ([127, 0, 0, 1], &right),
        ([127, 0, 0, 1], b""),
        // Without a header, the call itself is read as a malformed header.
        (PROXY, b""),
        (PROXY, b"PROXY TCP4 203.0.113.7\r\n"),
        (PROXY, b"PROXY TCP4 203.0.113.7 198.51.100.1 12345 443\n"),
        (PROXY, long_line.as_bytes()),
        (PROXY, &v2(0x21, 0x11, &[1; 11])),
        (PROXY, &v2(0x21, 0x11, &[1; 537])),
        (PROXY, &v2(0x20, 0x00, &[1; 537])),
        (PROXY, &v2(0x21, 0x12, &[1; 12])),
        (PROXY, &v2(0x31, 0x11, &[1; 12])),
    ] {
        let answer = sent(&gateway, source, header, &call("closed", "")).await;
        assert_eq!(answer, "", "{source:?} {header:?}");
    }
    let longest = v2(0x20, 0x00, &[1; 536]);
    assert!(
        sent(&gateway, PROXY, &longest, &call("longest", ""))
            .await
            .contains("SUCCESS")
    );
    gateway.logged("longest");
    let logged = gateway.request_log();
    assert_eq!(logged.len(), 1, "{logged:#?}");
}

#[tokio::test]
async fn a_proxy_header_in_pieces_is_read_and_a_slow_one_times_out() {
    let gateway = gateway();
    let mut slow = connect(&gateway, PROXY).await;
    slow.write_all(b"PROXY TCP4 203.0").await.unwrap();
    let mut silent = connect(&gateway, PROXY).await;
    let began = Instant::now();
    // Each piece arrives separately: the next one is written after a separate call of the proxy has been answered.
    let mut pieces = connect(&gateway, PROXY).await;
    pieces.set_nodelay(true).unwrap();
    for (n, piece) in [
        "PRO",
        "XY TCP4 203.0.113.7 198.",
        "51.100.1 1 2",
        "\r",
        "\nGET",
    ]
    .iter()
    .enumerate()
    {
        pieces.write_all(piece.as_bytes()).await.unwrap();
        let local = sent(
            &gateway,
            PROXY,
            b"PROXY UNKNOWN\r\n",
            &call(&format!("own-{n}"), ""),
        )
        .await;
        assert!(local.contains("SUCCESS"), "{local}");
    }
    let tail = " /nothing HTTP/1.1\r\nHost: x\r\nX-Request-ID: pieces\r\nConnection: close\r\n\r\n";
    pieces.write_all(tail.as_bytes()).await.unwrap();
    assert!(rest(pieces).await.starts_with("HTTP/1.1 404"));
    assert_eq!(gateway.logged("pieces")["client"], "203.0.113.7");

    assert_eq!(silent.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert_eq!(rest(slow).await, "");
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(4900) && took < Duration::from_secs(9),
        "{took:?}"
    );
}

#[tokio::test]
async fn connections_are_limited_by_the_address_that_the_proxy_names() {
    let gateway = gateway();
    let mut held = Vec::new();
    for source in ["203.0.113.7", "203.0.113.7", "203.0.113.8", "203.0.113.7"] {
        let mut stream = connect(&gateway, PROXY).await;
        let head =
            format!("PROXY TCP4 {source} 198.51.100.1 1 2\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let served = stream.read(&mut [0; 16]).await.is_ok_and(|read| read > 0);
        held.push((stream, served));
    }
    assert!(held[..3].iter().all(|(_, served)| *served));
    // One more connection of the first address is refused, or takes the place of one that has idled for a while.
    assert_eq!(open(&mut held).await, 3);
}

#[tokio::test]
async fn the_admin_listener_requires_no_proxy_header() {
    let gateway = gateway();
    assert!(gateway.metrics().await.contains("chatgate_build_info"));
}
