//! Tests of sends: the reported outcome matches what the upstream got.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{
    Answer, Demo, Gateway, PATIENCE, Sandbox, UPSTREAM_ENVIRONMENT, accepted, client, envelope,
    upstream,
};

/// Reads one request with a Content-Length from a connection.
pub async fn read_request(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut piece)).await;
        let read = read.expect("the request does not come").unwrap();
        assert_ne!(
            read,
            0,
            "the request broke off: {}",
            String::from_utf8_lossy(&seen)
        );
        seen.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&seen);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix("content-length: ")?
                    .parse()
                    .ok()
            });
            if body.len() >= length.unwrap_or(0) {
                return text.into_owned();
            }
        }
    }
}

/// Ends a connection with a reset, so that the peer is sure to notice.
pub fn hang_up(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
    drop(stream);
}

/// Returns the bytes of a whole request with this form.
pub fn posted(form: &str, request_id: &str) -> String {
    let head = format!("POST /api/http/ HTTP/1.1\r\nHost: x\r\nX-Request-ID: {request_id}\r\n");
    format!("{head}Content-Length: {}\r\n\r\n{form}", form.len())
}

pub fn send_form(demo: &Demo, message: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("class", "chat"),
            ("method", "sendmessage"),
            ("platform", "whatsapp"),
            ("platformid", "100"),
        ])
        .extend_pairs([("destination", "34600000000"), ("message", message)])
        .extend_pairs([("user", &demo.user), ("password", &demo.password)])
        .finish()
}

#[tokio::test]
async fn a_client_that_disconnects_does_not_stop_the_send() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = Gateway::configured(
        &upstream(listener.local_addr().unwrap()),
        &[UPSTREAM_ENVIRONMENT],
    );
    let form = send_form(&gateway.demo(), "do not stop me");
    let mut caller = TcpStream::connect(gateway.public).await.unwrap();
    let head = format!(
        "POST /api/http/ HTTP/1.1\r\nHost: x\r\nX-Request-ID: gone\r\nContent-Length: {}\r\n\r\n",
        form.len()
    );
    caller
        .write_all(format!("{head}{form}").as_bytes())
        .await
        .unwrap();

    let mut upstream = accepted(&listener).await;
    let seen = read_request(&mut upstream).await;
    assert!(seen.contains("message=do+not+stop+me"));
    // The caller disconnects before the upstream has answered, and the gateway has every chance to notice, because it serves
    // another caller completely in the meantime.
    hang_up(caller);
    assert_eq!(
        Answer::of(client().get(gateway.url("/nothing")))
            .await
            .status,
        404
    );
    upstream
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"status\":\"SUCCESS\"}")
        .await
        .unwrap();

    let row = gateway.logged("gone");
    assert_eq!(
        (&row["delivery"], &row["code"], &row["method"]),
        (&json!("sent"), &json!(""), &json!("sendmessage"))
    );
}

#[tokio::test]
async fn the_delivery_word_matches_the_messages_that_the_upstream_received() {
    let sandbox = Sandbox::start();
    let toml = format!("{}timeout = \"1s\"\n", sandbox.as_upstream());
    let gateway = Gateway::configured(&toml, &[UPSTREAM_ENVIRONMENT]);
    let demo = gateway.demo();
    for (fault, delivery, stored) in [
        (json!([]), "sent", 1),
        (json!([{"fault": "success_lowercase"}]), "sent", 1),
        (
            json!([{"fault": "error_code", "code": "CHANNEL_NOT_FOUND"}]),
            "not_sent",
            0,
        ),
        (json!([{"fault": "reset"}]), "unknown", 0),
        (json!([{"fault": "reset_after"}]), "unknown", 1),
        (json!([{"fault": "no_answer"}]), "unknown", 1),
        (json!([{"fault": "broken_json"}]), "unknown", 1),
        (json!([{"fault": "truncated"}]), "unknown", 1),
        (json!([{"fault": "http_503"}]), "unknown", 0),
        (json!([{"fault": "huge"}]), "unknown", 0),
    ] {
        let before = sandbox.sent().await;
        sandbox.faults(fault.clone()).await;
        let answer = Answer::of(
            client()
                .post(gateway.url("/api/http/"))
                .body(send_form(&demo, "x")),
        )
        .await;
        let after = sandbox.sent().await;
        assert_eq!(answer.json()["delivery"], delivery, "{fault}");
        let grew = |name: &str| after[name].as_u64().unwrap() - before[name].as_u64().unwrap();
        assert_eq!(
            (grew("sends"), grew("stored")),
            (1, stored),
            "{fault}: one call, one send upstream"
        );
    }
}

#[tokio::test]
async fn a_send_invalidates_the_cached_reads_of_its_chats() {
    let gateway = Gateway::configured("[cache]\ngetchats = \"1h\"\n", &[]);
    let demo = gateway.demo();
    let read = || {
        client().post(gateway.url("/api/http/")).form(&[
            ("class", "chat"),
            ("method", "getchats"),
            ("platform", "whatsapp"),
            ("platformid", "100"),
            ("user", demo.user.as_str()),
            ("password", demo.password.as_str()),
        ])
    };
    assert_eq!(
        Answer::of(read()).await.header("cache-status"),
        "chatgate; fwd=uri-miss; stored"
    );
    assert!(
        Answer::of(read())
            .await
            .header("cache-status")
            .starts_with("chatgate; hit; ttl=")
    );
    let sent = Answer::of(
        client()
            .post(gateway.url("/api/http/"))
            .body(send_form(&demo, "fresh news")),
    )
    .await;
    assert_eq!(
        sent.header("cache-status"),
        "chatgate; fwd=method; detail=effect"
    );
    let fresh = Answer::of(read()).await;
    assert_eq!(
        fresh.header("cache-status"),
        "chatgate; fwd=uri-miss; stored"
    );
    assert!(fresh.body.contains("fresh news"), "{}", fresh.body);
}

#[tokio::test]
async fn shutdown_waits_for_a_send_whose_client_has_disconnected() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let toml = upstream(listener.local_addr().unwrap());
    let gateway = Gateway::configured(&toml, &[UPSTREAM_ENVIRONMENT]);
    let mut caller = TcpStream::connect(gateway.public).await.unwrap();
    let request = posted(&send_form(&gateway.demo(), "x"), "gone");
    caller.write_all(request.as_bytes()).await.unwrap();
    let mut upstream = accepted(&listener).await;
    read_request(&mut upstream).await;
    hang_up(caller);
    gateway.process.signal("TERM");
    gateway
        .process
        .wait_for("the drain", |line| line.contains("draining"));
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"status\":\"SUCCESS\"}";
    upstream.write_all(answer).await.unwrap();
    let row = gateway.logged("gone");
    assert_eq!(row["delivery"], "sent");
    assert_eq!(gateway.process.ended().0, Some(0));
}

#[tokio::test]
async fn a_client_that_half_closes_after_its_request_gets_its_answer() {
    let gateway = Gateway::start();
    let mut caller = TcpStream::connect(gateway.public).await.unwrap();
    let request = posted(&send_form(&gateway.demo(), "half closed"), "half");
    caller.write_all(request.as_bytes()).await.unwrap();
    caller.shutdown().await.unwrap();
    let mut answer = String::new();
    caller.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.ends_with(r#"{"status":"SUCCESS","result":{},"delivery":"sent"}"#),
        "{answer}"
    );
}

#[tokio::test]
async fn a_request_over_its_timeout_gets_upstream_timeout_and_unknown() {
    let sandbox = Sandbox::start();
    let toml = format!(
        "{}[limits]\nrequest_timeout = \"300ms\"\n",
        sandbox.as_upstream()
    );
    let gateway = Gateway::configured(&toml, &[UPSTREAM_ENVIRONMENT]);
    sandbox.faults(json!([{"fault": "no_answer"}])).await;
    let began = std::time::Instant::now();
    let call = client()
        .post(gateway.url("/api/http/"))
        .body(send_form(&gateway.demo(), "x"));
    let answer = Answer::of(call).await.json();
    assert_eq!(
        (&answer["error"], &answer["delivery"]),
        (&json!("UPSTREAM_TIMEOUT"), &json!("unknown"))
    );
    assert!(began.elapsed() < std::time::Duration::from_secs(5));
}

#[tokio::test]
async fn soap_callers_get_every_consumed_message_or_an_error() {
    let sandbox = Sandbox::start();
    let gateway = Gateway::configured(&sandbox.as_upstream(), &[UPSTREAM_ENVIRONMENT]);
    let demo = gateway.demo();
    let read = envelope(
        "getunreadmessages",
        &[
            ("user", &demo.user),
            ("password", &demo.password),
            ("platform", "whatsapp"),
            ("platformid", "100"),
            ("destination", "346"),
        ],
    );
    // PHP's json_encode writes a list with gaps in its numbering as an object.
    for (result, expected) in [
        (
            json!({"list": {"1": {"message": "one"}, "3": {"message": "three"}}}),
            Some(2),
        ),
        (json!({"list": {}}), Some(0)),
        (json!({}), Some(0)),
        (json!([]), Some(0)),
        (json!([{"message": "one"}]), None),
        (json!({"list": ["one"]}), None),
        (json!({"list": "one"}), None),
    ] {
        let body = json!({"status": "SUCCESS", "result": result}).to_string();
        let fault = json!([{"method": "getunreadmessages", "fault": "body", "body": body}]);
        sandbox.faults(fault).await;
        let call = client().post(gateway.url("/api/soap/")).body(read.clone());
        let id = result.to_string().len().to_string();
        let answer = Answer::of(call.header("X-Request-ID", &id)).await;
        let items = answer.body.matches("<c:item>").count();
        match expected {
            Some(count) => assert_eq!((answer.status, items), (200, count), "{result}"),
            None => {
                let code = "<c:code>UPSTREAM_ERROR</c:code>";
                assert!(
                    answer.status == 500 && answer.body.contains(code),
                    "{result}"
                );
                assert_eq!(gateway.logged(&id)["code"], "UPSTREAM_ERROR");
            }
        }
    }
}
