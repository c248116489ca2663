//! Tests of streams through proxies with their defaults, and over HTTP/2.

use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tempfile::TempDir;
use tokio::net::TcpStream;

use super::reading::{SALES, Stream, UNLIMITED, warm, write};
use crate::harness::{Gateway, PATIENCE, Process, client, http2, load, new_listen, stays, until};
use crate::tls::{self, Pair};

/// How long a stream has to live through a proxy in seconds, every day and for a release: longer than the proxy's timeouts.
const LIVES: (u64, u64) = (35, 600);

async fn through(gateway: &Gateway, url: String) {
    let mut warming = Stream::of(gateway, "").await;
    warm(gateway, &mut warming).await;
    let demo = gateway.demo();
    let request = client().get(format!("{url}/api/events?cursor=now"));
    let mut stream = Stream::open(request.basic_auth(demo.user, Some(demo.password))).await;
    stream.next().await.unwrap();
    let began = Instant::now();
    let lives =
        Duration::from_secs(u64::try_from(load(0, 1)).unwrap() * (LIVES.1 - LIVES.0) + LIVES.0);
    let (mut number, mut lag) = (0, Duration::ZERO);
    while began.elapsed() < lives {
        number += 1;
        let chat = format!("34630{number:06}");
        write(gateway, SALES, &chat, "Through a proxy").await;
        // The event of the reader without a proxy shows that the gateway has written it.
        while warming.message().await["data"]["destination"] != *chat {}
        let written = Instant::now();
        while stream.message().await["data"]["destination"] != *chat {}
        lag = lag.max(written.elapsed());
        let next = began + Duration::from_secs(18 * number);
        let pause = next.saturating_duration_since(Instant::now());
        // Only heartbeats may arrive now.
        if let Some(frame) = stream.within(pause).await {
            assert_eq!((&*frame.event, &*frame.data), ("", ""));
        }
    }
    println!(
        "{number} events in {:?}, the latest {lag:?} after the one without a proxy",
        began.elapsed()
    );
    assert!(
        lag <= Duration::from_millis(if load(0, 1) == 1 { 150 } else { 1500 }),
        "{lag:?}"
    );
}

async fn front(command: Command, listen: &str) -> Process {
    let process = Process::of(command, &[]);
    until("it listens", async || {
        TcpStream::connect(listen).await.is_ok()
    })
    .await;
    process
}

#[tokio::test]
async fn a_stream_passes_through_nginx_with_default_settings() {
    let (gateway, folder, listen) = (
        Gateway::configured(UNLIMITED, &[]),
        TempDir::new().unwrap(),
        new_listen(),
    );
    // Buffering and compression as they are usually switched on.
    let text = format!(
        "user root;\ndaemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr warn;\nevents {{}}\nhttp {{\n access_log off;\n gzip on;\n gzip_types text/event-stream;\n \
         server {{ listen {listen}; location / {{ proxy_pass http://{}; }} }}\n}}\n",
        gateway.public
    );
    std::fs::write(folder.path().join("nginx.conf"), text).unwrap();
    let mut command = Command::new("/usr/sbin/nginx");
    command
        .arg("-p")
        .arg(folder.path())
        .args(["-c", "nginx.conf", "-e", "stderr"]);
    let _front = front(command, &listen).await;
    through(&gateway, format!("http://{listen}")).await;
}

#[tokio::test]
async fn a_stream_passes_through_haproxy_with_default_settings() {
    let (gateway, folder, listen) = (
        Gateway::configured(UNLIMITED, &[]),
        TempDir::new().unwrap(),
        new_listen(),
    );
    // The timeouts of Debian's own file.
    let text = format!(
        "defaults\n mode http\n timeout connect 5000\n timeout client 50000\n timeout server 50000\nfrontend f\n bind {listen}\n default_backend b\n\
         backend b\n server a {}\n",
        gateway.public
    );
    let file = folder.path().join("haproxy.cfg");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new("/usr/sbin/haproxy");
    command.arg("-db").arg("-f").arg(&file);
    let _front = front(command, &listen).await;
    through(&gateway, format!("http://{listen}")).await;
}

#[tokio::test]
async fn an_http_2_stream_outlives_the_request_timeout_while_calls_continue() {
    let pair = Pair::new();
    let (gateway, _files) = tls::gateway(
        &pair,
        "[limits]\nper_address_per_minute = 1000000\nrequest_timeout = \"1s\"\nwrite_timeout = \"1s\"\n",
    );
    let demo = gateway.demo();
    let mut peer = http2::Peer::connect(&pair, &gateway).await;
    let both = format!("{}:{}", demo.user, demo.password);
    let pair = format!("Basic {}", BASE64_STANDARD.encode(both));
    let fields = [("authorization", &*pair), ("accept", "text/event-stream")];
    let head = |path: &str| http2::head(http2::GET, path, &fields);
    let stream = peer
        .request(&head("/api/events?types=channel.resumed"), &[])
        .await;
    let call = head("/api/basic/?class=chat&method=getchatchannels");
    stays(Duration::from_secs(20), "calls go on", async || {
        let call = peer.request(&call, &[]).await;
        let (status, body) = peer.answer(call).await;
        status == http2::OK && body.contains("SUCCESS")
    })
    .await;
    // The stream has outlived ten times the request timeout, and its heartbeats continue.
    loop {
        let next = tokio::time::timeout(PATIENCE, peer.receive());
        let (kind, flags, of, payload) = next.await.unwrap().expect("the connection has ended");
        assert_ne!(kind, http2::GOAWAY);
        if of == stream && kind == http2::DATA {
            assert_eq!(flags & http2::END_STREAM, 0);
            assert_eq!(String::from_utf8(payload).unwrap(), ":\n\n");
            break;
        }
    }
}
