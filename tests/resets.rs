//! Tests of callers that cancel a request by resetting its HTTP/2 stream: the work for it ends immediately, unless something may
//! already have been sent, and its resources are freed.

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::harness::http2::{GET, OK, POST, Peer, get, head};
use crate::harness::{
    Gateway, Issuer, UPSTREAM_ENVIRONMENT, accepted, admin, rows, until, upstream,
};
use crate::sends::read_request;
use crate::tls::{Files, Pair};

/// A gateway with TLS, a caller that speaks HTTP/2, and an upstream whose answers the test writes by hand.
struct Stage {
    gateway: Gateway,
    peer: Peer,
    upstream: TcpListener,
    pair: Pair,
    /// The folder with the certificates, which the gateway still reads.
    _files: Files,
}

impl Stage {
    /// Starts a stage with these settings of the upstream.
    async fn set(settings: &str) -> Stage {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (pair, files) = (Pair::new(), Files::new());
        // A chosen password, which has to be hashed, and reads that are not cached.
        let access = "name = \"a\"\nuser = \"a\"\npassword = \"env:A\"\nallow = [\"127.0.0.1\"]";
        let toml = format!(
            "{}{settings}\n[cache]\ngetchats = \"0s\"\n[[accesses]]\n{access}\n{}",
            upstream(listener.local_addr().unwrap()),
            files.section("tls", &pair)
        );
        let gateway = files.start_with(&toml, &[UPSTREAM_ENVIRONMENT, ("A", "correct horse")]);
        Stage {
            peer: Peer::connect(&pair, &gateway).await,
            gateway,
            upstream: listener,
            pair,
            _files: files,
        }
    }

    /// Requests the chats of a channel and returns the stream.
    async fn read(&mut self, channel: &str) -> u32 {
        let call = "class=chat&method=getchats&platform=webchat";
        let path = format!("/api/http/?{call}&platformid={channel}&{CREDENTIALS}");
        let head = head(GET, &path, &[("x-request-id", channel)]);
        self.peer.request(&head, &[]).await
    }

    /// Returns the next call that reaches the upstream, and its text.
    async fn called(&self) -> (TcpStream, String) {
        let mut stream = accepted(&self.upstream).await;
        let request = read_request(&mut stream).await;
        (stream, request)
    }

    /// Asserts that the upstream got no other call.
    fn assert_no_other_upstream_call(self) {
        let listener = self.upstream.into_std().unwrap();
        assert!(listener.accept().is_err(), "the upstream was asked again");
    }

    /// Returns the number of requests that are under way.
    async fn under_way(&self) -> usize {
        let metrics = self.gateway.metrics().await;
        let mut lines = metrics.lines();
        let count = lines.find_map(|line| line.strip_prefix("chatgate_inflight_requests "));
        count.unwrap().parse().unwrap()
    }

    async fn wait_for_upstream_queue(&self, count: usize) {
        until("the queue for the upstream", async || {
            let status = admin(&self.gateway, reqwest::Method::GET, "status", Value::Null);
            status.await.json()["upstream"]["waiting"] == count
        })
        .await;
    }
}

async fn answer(stream: &mut TcpStream, body: &str) {
    let length = body.len();
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}");
    stream.write_all(answer.as_bytes()).await.unwrap();
}

const CREDENTIALS: &str = "user=a&password=correct%20horse";
const SENT: &str = r#"{"status":"SUCCESS"}"#;
const LIST: &str = r#"{"status":"SUCCESS","result":{"list":[]}}"#;

#[tokio::test]
async fn a_reset_does_not_stop_the_send() {
    let mut stage = Stage::set("").await;
    let fields = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("x-request-id", "send"),
    ];
    let call = "class=chat&method=sendmessage&platform=whatsapp&platformid=100&destination=1";
    let form = format!("{call}&message=once&{CREDENTIALS}");
    let head = head(POST, "/api/http/", &fields);
    let send = stage.peer.request(&head, form.as_bytes()).await;
    let (mut called, request) = stage.called().await;
    assert!(request.contains("message=once"), "{request}");
    stage.peer.take_back(&[send]).await;
    answer(&mut called, SENT).await;

    let line = stage.gateway.logged("send");
    let all = [&line["delivery"], &line["code"], &line["status"]];
    assert_eq!(all, [&json!("sent"), &json!(""), &json!(200)], "{line}");
    let rows = rows(&stage.gateway, "request_id=send").await;
    let deliveries: Vec<_> = rows.iter().map(|row| &row["delivery"]).collect();
    assert_eq!(deliveries, ["sent"], "{rows:?}");
    stage.assert_no_other_upstream_call();
}

#[tokio::test]
async fn a_reset_cancels_a_read_and_is_recorded_as_client_gone() {
    let mut stage = Stage::set("attempts = 1").await;
    let read = stage.read("asked").await;
    let (mut called, _) = stage.called().await;
    stage.peer.take_back(&[read]).await;
    let line = stage.gateway.logged("asked");
    let ended = [&line["code"], &line["canonical_status"], &line["status"]];
    assert_eq!(
        ended,
        [&json!("CLIENT_GONE"), &json!(499), &json!(0)],
        "{line}"
    );
    let rows = rows(&stage.gateway, "request_id=asked").await;
    let ended = |row: &Value| json!([row["method"], row["code"], row["status"]]);
    let ended: Vec<_> = rows.iter().map(ended).collect();
    assert_eq!(ended, [json!(["getchats", "CLIENT_GONE", 0])]);
    // Nobody waits for the upstream's answer any more, so its connection is closed.
    let mut rest = [0; 1];
    let closed = tokio::io::AsyncReadExt::read(&mut called, &mut rest).await;
    assert!(matches!(closed, Ok(0) | Err(_)), "{closed:?}");
    assert_eq!(stage.under_way().await, 0);
    stage.assert_no_other_upstream_call();
}

#[tokio::test]
async fn a_reset_does_not_cancel_the_fetch_of_issuer_keys() {
    let mut stage = Stage::set("").await;
    let issuer = Issuer::new();
    let keys = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = keys.local_addr().unwrap();
    // The issuer is added by a reload, so its keys are fetched for the first token, long before the gateway would fetch them by
    // itself.
    let file = stage.gateway.folder.path().join("chatgate.toml");
    let toml = std::fs::read_to_string(&file).unwrap();
    let issuers = issuer.as_configuration();
    let line = issuers
        .lines()
        .find(|line| line.starts_with("jwks"))
        .unwrap();
    let issuers = issuers.replace(line, &format!("jwks = \"http://{address}/jwks.json\""));
    std::fs::write(&file, format!("{toml}\n{issuers}")).unwrap();
    let taken = admin(&stage.gateway, reqwest::Method::POST, "reload", Value::Null);
    assert_eq!(taken.await.status, 200);

    let token = issuer.token("a", 300);
    let path = "/api/jwt/?class=chat&method=getchatchannels";
    let authorization = format!("Bearer {token}");
    let fields = [("authorization", &*authorization), ("x-request-id", "keys")];
    let call = stage.peer.request(&head(GET, path, &fields), &[]).await;
    let mut fetch = accepted(&keys).await;
    read_request(&mut fetch).await;
    stage.peer.take_back(&[call]).await;
    assert_eq!(stage.gateway.logged("keys")["code"], "CLIENT_GONE");
    answer(&mut fetch, &issuer.jwks()).await;
    // The test answers no second fetch: the gateway has the keys of the first one.
    let again = stage.peer.request(&head(GET, path, &fields), &[]).await;
    let (mut called, _) = stage.called().await;
    answer(&mut called, LIST).await;
    assert_eq!(stage.peer.answer(again).await.0, OK);
}

#[tokio::test]
async fn a_reset_frees_the_upstream_permit_and_the_queue_slot() {
    let mut stage = Stage::set("calls = 1\nwaiting = 1\nattempts = 1").await;
    let first = stage.read("1").await;
    let (_first, _) = stage.called().await;
    let queued = stage.read("2").await;
    stage.wait_for_upstream_queue(1).await;
    // The place at the upstream and the place in the queue are both taken.
    let refused = stage.read("3").await;
    let (_, body) = stage.peer.answer(refused).await;
    assert!(body.contains("OVERLOADED"), "{body}");
    // The place in the queue is free again, and then the place at the upstream.
    stage.peer.take_back(&[queued]).await;
    let waits = stage.read("4").await;
    stage.wait_for_upstream_queue(1).await;
    stage.peer.take_back(&[first]).await;
    let (mut called, request) = stage.called().await;
    assert!(request.contains("platformid=4"), "{request}");
    answer(&mut called, LIST).await;
    assert_eq!(stage.peer.answer(waits).await.0, OK);
    stage.assert_no_other_upstream_call();
}

#[tokio::test]
async fn a_reset_frees_a_permit_of_the_concurrency_limit() {
    let mut stage = Stage::set("attempts = 1").await;
    let bound = json!({"concurrent": 1});
    let patched = admin(&stage.gateway, reqwest::Method::PATCH, "accesses/a", bound);
    assert_eq!(patched.await.status, 200);
    let first = stage.read("1").await;
    let (_first, _) = stage.called().await;
    let refused = stage.read("2").await;
    let (_, body) = stage.peer.answer(refused).await;
    assert!(body.contains("RATE_LIMITED"), "{body}");
    stage.peer.take_back(&[first]).await;
    let served = stage.read("3").await;
    let (mut called, request) = stage.called().await;
    assert!(request.contains("platformid=3"), "{request}");
    answer(&mut called, LIST).await;
    assert_eq!(stage.peer.answer(served).await.0, OK);
}

/// The read continues without its caller, for the next caller.
#[tokio::test]
async fn a_cacheable_read_counts_as_concurrent_until_it_ends_despite_a_reset() {
    let mut stage = Stage::set("attempts = 1").await;
    let bound = json!({"concurrent": 1, "cache": {"getchats_s": 60}});
    let patched = admin(&stage.gateway, reqwest::Method::PATCH, "accesses/a", bound).await;
    assert_eq!(patched.status, 200, "{}", patched.body);
    let first = stage.read("1").await;
    let (mut called, _) = stage.called().await;
    stage.peer.take_back(&[first]).await;
    let refused = stage.read("2").await;
    let (_, body) = stage.peer.answer(refused).await;
    assert!(body.contains("RATE_LIMITED"), "{body}");
    answer(&mut called, LIST).await;
    let stage = tokio::sync::Mutex::new(stage);
    until("it has ended and is kept", async || {
        let mut stage = stage.lock().await;
        let kept = stage.read("1").await;
        stage.peer.answer(kept).await.0 == OK
    })
    .await;
}

#[tokio::test]
async fn a_reset_ends_a_read_that_waits_for_an_identical_read() {
    let mut stage = Stage::set("attempts = 1").await;
    let bound = json!({"concurrent": 2, "cache": {"getchats_s": 60}});
    let patched = admin(&stage.gateway, reqwest::Method::PATCH, "accesses/a", bound).await;
    assert_eq!(patched.status, 200, "{}", patched.body);
    let first = stage.read("1").await;
    let (mut called, _) = stage.called().await;
    let waits = stage.read("1").await;
    let refused = stage.read("2").await;
    let (_, body) = stage.peer.answer(refused).await;
    assert!(body.contains("RATE_LIMITED"), "{body}");
    stage.peer.take_back(&[waits]).await;
    assert_eq!(stage.gateway.logged("1")["code"], "CLIENT_GONE");
    let served = stage.read("3").await;
    let (mut other, request) = stage.called().await;
    assert!(request.contains("platformid=3"), "{request}");
    answer(&mut other, LIST).await;
    assert_eq!(stage.peer.answer(served).await.0, OK);
    answer(&mut called, LIST).await;
    assert_eq!(stage.peer.answer(first).await.0, OK);
    stage.assert_no_other_upstream_call();
}

/// Adds callers that guess concurrently, each with the streams of its guesses.
async fn guesses(stage: &Stage, callers: usize) -> Vec<(Peer, Vec<u32>)> {
    let mut peers = Vec::new();
    for _ in 0..14 {
        let peer = Peer::connect(&stage.pair, &stage.gateway).await;
        peers.push((peer, Vec::new()));
    }
    for (caller, (peer, streams)) in (callers..).zip(&mut peers) {
        // With the request after them, the guesses are fewer than the refusals in a row that close a connection, so that all may be
        // answered.
        for n in 0..6 {
            // Each name is used once, so that guesses wait only for hashing.
            let name = format!("user=nobody-{caller}-{n}&password=guess%20number%20{n}");
            let path = format!("/api/http/?class=chat&method=getchatchannels&{name}");
            streams.push(peer.request(&get(&path), &[]).await);
        }
    }
    peers
}

#[tokio::test]
async fn a_reset_frees_the_slot_in_the_password_hashing_queue() {
    let limits = "[limits]\nguesses_per_address = 100000\nper_address_per_minute = 100000";
    let mut stage = Stage::set(&format!("attempts = 1\n{limits}")).await;
    let mut peers = Vec::new();
    // On a busy machine, guesses may arrive as slowly as the gateway answers them, so that more guesses are needed.
    until("guesses wait", async || {
        peers.extend(guesses(&stage, peers.len()).await);
        stage.under_way().await > 20
    })
    .await;
    for (peer, streams) in &mut peers {
        peer.take_back(streams).await;
    }
    until("none waits", async || stage.under_way().await == 0).await;
    let served = stage.read("1").await;
    let (mut called, _) = stage.called().await;
    answer(&mut called, LIST).await;
    assert_eq!(stage.peer.answer(served).await.0, OK);
}
