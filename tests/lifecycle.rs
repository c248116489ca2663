//! Tests of a gateway's life: readiness, draining, slow and many connections, the operators' listener.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Answer, Gateway, Sandbox, UPSTREAM_ENVIRONMENT, client, until};
use crate::sends::send_form;

#[tokio::test]
async fn health_and_metrics_need_no_key_and_all_other_admin_paths_need_one() {
    let gateway = Gateway::start();
    let url = |path: &str| format!("http://{}{path}", gateway.admin);
    for path in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(
            Answer::of(client().get(url(path))).await.status,
            200,
            "{path}"
        );
    }
    for path in ["/admin/v1/status", "/admin/v1/anything", "/anything"] {
        let refused = Answer::of(client().get(url(path)).bearer_auth("cgk_wrong")).await;
        assert_eq!(
            (refused.status, refused.header("content-type")),
            (401, "application/problem+json"),
            "{path}"
        );
        assert_eq!(
            refused.header("www-authenticate"),
            "Bearer realm=\"chatgate-admin\""
        );
    }
    let key = std::fs::read_to_string(gateway.data().join("admin.key")).unwrap();
    let status = Answer::of(
        client()
            .get(url("/admin/v1/status"))
            .bearer_auth(key.trim()),
    )
    .await
    .json();
    assert_eq!(
        (&status["public_url"], &status["accesses"]),
        (&json!(gateway.url("")), &json!(1))
    );
}

#[tokio::test]
async fn sigterm_finishes_sends_in_progress_and_ignores_idle_connections() {
    let sandbox = Sandbox::start();
    let gateway = Gateway::configured(&sandbox.as_upstream(), &[UPSTREAM_ENVIRONMENT]);
    let demo = gateway.demo();
    sandbox
        .faults(json!([{"fault": "latency", "ms": 1000}]))
        .await;
    let idle = client();
    assert_eq!(
        Answer::of(idle.get(gateway.url("/nothing"))).await.status,
        404
    );
    let under_way: Vec<_> = (0..20)
        .map(|n| {
            tokio::spawn(Answer::of(
                client()
                    .post(gateway.url("/api/http/"))
                    .body(send_form(&demo, &n.to_string())),
            ))
        })
        .collect();
    until("all sends are upstream", async || {
        sandbox.sent().await["sends"] == 20
    })
    .await;
    gateway.process.signal("TERM");
    gateway
        .process
        .wait_for("the drain", |line| line.contains("draining"));
    for call in under_way {
        assert_eq!(call.await.unwrap().json()["delivery"], "sent");
    }
    let began = Instant::now();
    let public = gateway.public;
    let (code, lines) = gateway.process.ended();
    assert_eq!(code, Some(0), "{}", lines.join("\n"));
    assert!(began.elapsed() < Duration::from_secs(5));
    assert!(TcpStream::connect(public).await.is_err());
}

#[tokio::test]
async fn slow_and_idle_connections_are_closed_at_their_deadlines() {
    let gateway = Gateway::configured(
        "[limits]\nheader_timeout = \"1s\"\nidle_timeout = \"2s\"\n",
        &[],
    );
    let mut slow = TcpStream::connect(gateway.public).await.unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHo").await.unwrap();
    let mut silent = TcpStream::connect(gateway.public).await.unwrap();
    let mut resting = TcpStream::connect(gateway.public).await.unwrap();
    resting
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let began = Instant::now();
    let ended = async |stream: &mut TcpStream| {
        let mut rest = Vec::new();
        // A reset counts as an end as well.
        let _ = stream.read_to_end(&mut rest).await;
        began.elapsed()
    };
    assert_eq!(
        Answer::of(client().get(gateway.url("/nothing")))
            .await
            .status,
        404
    );
    let (slow, silent, resting) =
        tokio::join!(ended(&mut slow), ended(&mut silent), ended(&mut resting));
    let within = |took: Duration, least: u64| {
        took >= Duration::from_secs(least) - Duration::from_millis(100)
            && took < Duration::from_secs(least + 5)
    };
    assert!(
        within(slow, 1) && within(silent, 1) && within(resting, 2),
        "{slow:?} {silent:?} {resting:?}"
    );
}

#[tokio::test]
async fn connections_are_limited_per_address_and_others_are_admitted() {
    let gateway = Gateway::configured("[limits]\nconnections_per_address = 3\n", &[]);
    let connect = async |source: [u8; 4]| {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket
            .bind((std::net::Ipv4Addr::from(source), 0).into())
            .unwrap();
        let mut stream = socket.connect(gateway.public).await.unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        let served = stream.read(&mut [0; 16]).await.is_ok_and(|read| read > 0);
        (stream, served)
    };
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(connect([127, 0, 0, 5]).await);
    }
    assert!(held.iter().all(|(_, served)| *served));
    assert!(connect([127, 0, 0, 6]).await.1);
    // A connection that has ended leaves a free place. No idle connection is evicted, although the others have idled for longer.
    assert_eq!(open(&mut held).await, 3);
    let (mut ended, _) = held.pop().unwrap();
    ended.shutdown().await.unwrap();
    ended.read_to_end(&mut Vec::new()).await.unwrap();
    let again = async {
        loop {
            let again = connect([127, 0, 0, 5]).await;
            if again.1 {
                break again;
            }
        }
    };
    let again = tokio::time::timeout(Duration::from_secs(10), again).await;
    held.push(again.unwrap());
    assert_eq!(open(&mut held).await, 3);
    // One more connection is refused, or takes the place of one that has idled for a while.
    held.push(connect([127, 0, 0, 5]).await);
    assert_eq!(open(&mut held).await, 3);
}

/// Returns the number of these connections that serve another request.
pub async fn open(held: &mut [(TcpStream, bool)]) -> usize {
    let mut open = 0;
    for (stream, _) in held {
        let mut answer = vec![0; 4096];
        while stream.try_read(&mut answer).is_ok_and(|read| read > 0) {}
        let asked = stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let is_open = asked.is_ok() && stream.read(&mut answer).await.is_ok_and(|read| read > 0);
        open += usize::from(is_open);
    }
    open
}

/// Sends requests over one connection until it is closed, and returns the number of answers.
async fn answers_until_closed(gateway: &Gateway, paths: &[&str]) -> usize {
    let mut stream = TcpStream::connect(gateway.public).await.unwrap();
    for (n, path) in paths.iter().enumerate() {
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let text = loop {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "{n}");
            let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "));
                if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                    break text;
                }
            }
        };
        if text.contains("connection: close") {
            assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
            return n + 1;
        }
    }
    paths.len()
}

#[tokio::test]
async fn a_connection_is_closed_after_eight_refusals_without_authentication() {
    let gateway = Gateway::start();
    assert_eq!(answers_until_closed(&gateway, &["/nowhere"; 20]).await, 8);
    let wrong = "/api/http/?class=chat&method=getchats&user=demo&password=wrong";
    assert_eq!(answers_until_closed(&gateway, &[wrong; 20]).await, 8);
    let demo = gateway.demo();
    let right = format!(
        "/api/http/?class=chat&method=getchatchannels&user={}&password={}",
        demo.user, demo.password
    );
    let mut paths = vec!["/nowhere"; 7];
    paths.push(&right);
    paths.extend(["/nowhere"; 7]);
    paths.push(&right);
    assert_eq!(answers_until_closed(&gateway, &paths).await, 16);
    // A trusted proxy's connection carries the calls of many callers, so refusals do not close it.
    let proxied = Gateway::configured("[server]\ntrusted_proxies = [\"127.0.0.1/32\"]\n", &[]);
    assert_eq!(answers_until_closed(&proxied, &["/nowhere"; 20]).await, 20);
}
