//! Tests of the journal: every request leaves one row, and operators find the row.

mod erasure;
mod follow;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{
    Answer, Gateway, UPSTREAM_ENVIRONMENT, accepted, admin, callers_id, client, client_from,
    envelope, has_line, is_of_files, made, rows, run_on, start_on, upstream,
};
use crate::sends::{hang_up, posted, read_request, send_form};

const READ: &str = "class=chat&method=getchatchannels";

/// Makes a read by Basic from this address.
pub async fn read(gateway: &Gateway, user: (&str, &str), from: [u8; 4], id: &str) -> Answer {
    let request = client_from(IpAddr::from(from))
        .post(gateway.url("/api/basic/"))
        .basic_auth(user.0, Some(user.1))
        .header("X-Request-ID", id);
    Answer::of(request.body(READ)).await
}

/// Way, access, method, status, code and delivery word of each request.
const ROWS: [(&str, &str); 20] = [
    ("basic", "basic demo getchatchannels 200 - -"),
    ("first", "basic narrow getchatchannels 200 - -"),
    ("head", "http demo getchatchannels 200 - -"),
    ("http", "http demo getchatchannels 200 - -"),
    ("jwks", "- - - 200 - -"),
    ("jwt", "jwt demo getchatchannels 200 - -"),
    ("limited", "basic narrow getchatchannels 429 RATE_LIMITED -"),
    ("method", "http - - 405 HTTP_METHOD_NOT_ALLOWED -"),
    (
        "mistake",
        "http demo sendmessage 200 MISSING_COMPULSORY_PARAM not_sent",
    ),
    ("network", "basic narrow - 403 IP_NOT_ALLOWED -"),
    ("no-class", "http - - 200 MISSING_CLASS -"),
    ("nobody", "http - - 200 MISSING_USER -"),
    ("nowhere", "- - - 404 NOT_FOUND -"),
    ("options", "http - - 204 - -"),
    ("send", "http demo sendmessage 200 - sent"),
    ("soap", "soap demo getchatchannels 200 - -"),
    (
        "soap-mistake",
        "soap demo sendmessage 500 INCORRECT_PARAM not_sent",
    ),
    ("token", "jwt demo - 200 - -"),
    ("wrong", "http - - 200 INCORRECT_USER_PASSWORD -"),
    ("wsdl", "soap - - 200 - -"),
];

/// Makes one request of every kind, each under the id that names its kind.
async fn make_requests_of_every_kind(gateway: &Gateway) {
    let demo = gateway.demo();
    let narrow = json!({"name": "narrow", "allow": ["127.0.0.2"], "rate": "1/min"});
    let narrow = made(gateway, narrow).await;
    let tokens = [
        ("grant_type", "client_credentials"),
        ("client_id", &demo.client_id),
        ("client_secret", &demo.client_secret),
    ];
    let form = |pairs: &[(&str, &str)]| {
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish()
    };
    let post = |path: &str, id: &str| client().post(gateway.url(path)).header("X-Request-ID", id);
    let token = Answer::of(post("/oauth/token", "token").body(form(&tokens)))
        .await
        .json();
    let token = token["access_token"].as_str().unwrap().to_owned();
    let account = [("user", &*demo.user), ("password", &*demo.password)];
    let wrong = form(&[("user", "demo"), ("password", "wrong-password")]);
    let url = |path: &str| gateway.url(path);
    let request = |method: Method, path: &str, id: &str| {
        client()
            .request(method, url(path))
            .header("X-Request-ID", id)
    };
    for sent in [
        post("/api/http/", "http").body(format!("{READ}&{}", form(&account))),
        post("/api/basic/", "basic")
            .basic_auth(&demo.user, Some(&demo.password))
            .body(READ),
        post("/api/jwt/", "jwt").bearer_auth(&token).body(READ),
        post("/api/soap/", "soap")
            .header("Content-Type", "text/xml")
            .body(envelope("getchatchannels", &account)),
        post("/api/http/", "send").body(send_form(&demo, "canary of a message")),
        post("/api/http/", "wrong").body(format!("{READ}&{wrong}")),
        post("/api/http/", "nobody").body(READ),
        post("/api/http/", "no-class").body(form(&account)),
        request(Method::DELETE, "/api/http/", "method"),
        request(Method::GET, "/nowhere", "nowhere"),
        request(Method::OPTIONS, "/api/http/", "options"),
        request(Method::GET, "/api/soap/?wsdl", "wsdl"),
        request(Method::GET, "/.well-known/jwks.json", "jwks"),
        request(
            Method::HEAD,
            &format!("/api/http/?{READ}&{}", form(&account)),
            "head",
        ),
    ] {
        Answer::of(sent).await;
    }
    make_mistakes(gateway, &account).await;
    let narrow = ("narrow", narrow.as_str());
    read(gateway, narrow, [127, 0, 0, 3], "network").await;
    read(gateway, narrow, [127, 0, 0, 2], "first").await;
    read(gateway, narrow, [127, 0, 0, 2], "limited").await;
}

/// Makes a send without a text, and a send by SOAP with an element in place of the text.
async fn make_mistakes(gateway: &Gateway, account: &[(&str, &str)]) {
    let send = [
        ("platform", "whatsapp"),
        ("platformid", "100"),
        ("destination", "346"),
        ("message", "element"),
    ];
    let soap = envelope("sendmessage", &[account, &send].concat());
    let post = |path: &str, id: &str| client().post(gateway.url(path)).header("X-Request-ID", id);
    let form = send_form(&gateway.demo(), "");
    Answer::of(post("/api/http/", "mistake").body(form)).await;
    let soap = soap.replace("element", "<element/>");
    Answer::of(post("/api/soap/", "soap-mistake").body(soap)).await;
}

#[tokio::test]
async fn every_kind_of_request_leaves_exactly_one_row() {
    let gateway = Gateway::start();
    make_requests_of_every_kind(&gateway).await;
    let rows = rows(&gateway, "").await;
    let mut reported = BTreeMap::new();
    for row in rows.iter().filter(|row| row["kind"] == "request") {
        let text = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
        let line = format!(
            "{} {} {} {} {} {}",
            text("way"),
            text("access"),
            text("method"),
            row["status"],
            text("code"),
            text("delivery")
        );
        let twin = reported.insert(callers_id(row).unwrap().to_owned(), line);
        assert_eq!(twin, None, "two rows of {row}");
    }
    let reported: Vec<_> = reported
        .iter()
        .map(|(id, line)| (id.as_str(), line.as_str()))
        .collect();
    assert_eq!(reported, ROWS);

    let send = rows
        .iter()
        .find(|row| callers_id(row) == Some("send"))
        .unwrap();
    assert_eq!(
        send["parameters"],
        "platform=whatsapp platformid=100 destination=…0000 message=(19 bytes)"
    );
    assert_eq!(
        (&send["attempts"], &send["generation"]),
        (&json!(1), &json!(1))
    );
    assert!(
        send["upstream_us"].as_i64() > Some(0)
            && send["total_us"].as_i64() >= send["upstream_us"].as_i64()
    );
    assert_eq!(
        (&send["limited_by"], &send["client"]),
        (&json!("address"), &json!("127.0.0.1"))
    );
    let metrics = gateway.metrics().await;
    assert!(
        metrics.contains("chatgate_journal_dropped_total{class=\"known\"} 0\n"),
        "{metrics}"
    );
    assert!(metrics.contains("chatgate_journal_queue_entries "));
    for line in [
        "chatgate_deliveries_total{delivery=\"sent\"} 1",
        "chatgate_deliveries_total{delivery=\"not_sent\"} 2",
    ] {
        assert!(has_line(&metrics, line), "{line} is not in\n{metrics}");
    }
}

#[tokio::test]
async fn a_client_that_disconnects_leaves_exactly_one_row() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let gateway = Gateway::configured(&upstream(address), &[UPSTREAM_ENVIRONMENT]);
    let demo = gateway.demo();
    let read = format!("{READ}&user={}&password={}", demo.user, demo.password);

    // The caller disconnects in the middle of its body.
    let mut caller = TcpStream::connect(gateway.public).await.unwrap();
    let whole = posted(&read, "half");
    let half = &whole.as_bytes()[..whole.len() - 1];
    caller.write_all(half).await.unwrap();
    hang_up(caller);
    gateway.logged("half");

    // The caller disconnects while the upstream works on the call.
    let mut caller = TcpStream::connect(gateway.public).await.unwrap();
    caller
        .write_all(posted(&read, "gone").as_bytes())
        .await
        .unwrap();
    let mut upstream = accepted(&listener).await;
    read_request(&mut upstream).await;
    hang_up(caller);
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{\"status\":\"SUCCESS\"}";
    upstream.write_all(answer.as_bytes()).await.unwrap();
    gateway.logged("gone");

    // Over HTTP/1.1 the rows show a body that broke off, and an answer that nobody takes.
    let ends = [
        ("half", json!(null), json!("MALFORMED_REQUEST")),
        ("gone", json!("getchatchannels"), json!(null)),
    ];
    for (id, method, code) in ends {
        let rows = rows(&gateway, &format!("request_id={id}")).await;
        let found: Vec<_> = rows
            .iter()
            .map(|row| (&row["method"], &row["code"]))
            .collect();
        assert_eq!(found, [(&method, &code)], "{id}");
    }
}

/// Makes two changes of an access, two calls and a send.
async fn make_sample_calls(gateway: &Gateway) {
    let secret = made(gateway, json!({"name": "a", "allow": ["127.0.0.2"]})).await;
    let user = ("a", secret.as_str());
    read(gateway, user, [127, 0, 0, 2], "served").await;
    let wider = json!({"allow": ["127.0.0.2", "127.0.0.3"]});
    admin(gateway, Method::PATCH, "accesses/a", wider).await;
    read(gateway, user, [127, 0, 0, 4], "refused").await;
    // Reading the journal has all earlier rows written. Otherwise the row of the send, which is written immediately, could come
    // first.
    admin(gateway, Method::GET, "journal", Value::Null).await;
    let demo = gateway.demo();
    let send = client()
        .post(gateway.url("/api/http/"))
        .header("X-Request-ID", "send");
    Answer::of(send.body(send_form(&demo, "hello"))).await;
}

#[tokio::test]
async fn the_journal_is_searchable_by_every_filter_and_contains_changes() {
    let gateway = Gateway::start();
    make_sample_calls(&gateway).await;
    let found = |filter: &[&str]| {
        let mut arguments = vec!["log", "--json"];
        arguments.extend(filter);
        let ran = run_on(&gateway, &arguments);
        ran.succeeded();
        let rows = ran
            .output
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let name = |row: Value| match callers_id(&row) {
            Some(id) => id.to_owned(),
            None => format!(
                "{} of {}",
                row["kind"].as_str().unwrap(),
                row["access"].as_str().unwrap()
            ),
        };
        rows.map(name).collect::<Vec<_>>()
    };
    let all = [
        "change of demo",
        "change of a",
        "served",
        "change of a",
        "refused",
        "send",
    ];
    assert_eq!(found(&[]), all);
    assert_eq!(found(&["--since", "1h", "--limit", "2"]), all[4..]);
    assert_eq!(found(&["--access", "a"]), all[1..5]);
    assert_eq!(found(&["--method", "sendmessage"]), ["send"]);
    assert_eq!(found(&["--status", "403"]), ["refused"]);
    assert_eq!(found(&["--status", "IP_NOT_ALLOWED"]), ["refused"]);
    assert_eq!(found(&["--ip", "127.0.0.2/31"]), ["served"]);
    assert_eq!(found(&["--request-id", "served"]), ["served"]);
    assert_eq!(found(&["--delivery", "sent"]), ["send"]);
    assert_eq!(found(&["--since", "2100-01-01T00:00:00Z"]), [""; 0]);
    let wrong = run_on(&gateway, &["log", "--since", "yesterday"]);
    assert!(
        wrong.code == Some(1) && wrong.error.contains("yesterday is not a time"),
        "{}",
        wrong.error
    );
}

#[tokio::test]
async fn the_log_command_prints_lines_and_the_api_returns_before_and_after() {
    let gateway = Gateway::start();
    make_sample_calls(&gateway).await;
    let table = run_on(&gateway, &["log", "--access", "a"]).output;
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with("TIME ") && lines.len() == 5, "{table}");
    assert!(
        lines[1].contains("made by first") && lines[3].contains("changed by first"),
        "{table}"
    );
    assert!(
        lines[4].contains("127.0.0.4")
            && lines[4].contains("403")
            && lines[4].contains("IP_NOT_ALLOWED")
    );
    let change = &rows(&gateway, "access=a").await[2];
    assert_eq!(change["before"]["allow"], json!(["127.0.0.2/32"]));
    assert_eq!(
        change["after"]["allow"],
        json!(["127.0.0.2/32", "127.0.0.3/32"])
    );
    assert!(!change.to_string().contains("hash"), "{change}");
}

#[tokio::test]
async fn the_journal_is_paged_by_cursor_and_follow_prints_new_rows() {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    let user = (demo.user.as_str(), demo.password.as_str());
    for n in 0..25 {
        read(&gateway, user, [127, 0, 0, 1], &format!("call-{n}")).await;
    }
    let key = std::fs::read_to_string(gateway.data().join("admin.key")).unwrap();
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let url = format!("http://{}/admin/v1/journal?limit=10{cursor}", gateway.admin);
        let page = Answer::of(client().get(url).bearer_auth(key.trim()))
            .await
            .json();
        let ids = page["rows"].as_array().unwrap().iter();
        seen.extend(ids.filter_map(|row| callers_id(row).map(str::to_owned)));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    let expected: Vec<_> = (0..25).rev().map(|n| format!("call-{n}")).collect();
    assert_eq!(seen, expected);

    let following = start_on(
        &gateway,
        &["log", "--follow", "--limit", "3", "--access", "demo"],
    );
    following.wait_for("the latest row", |line| line.ends_with("call-24"));
    read(&gateway, user, [127, 0, 0, 1], "new").await;
    following.wait_for("the new row", |line| line.ends_with(" new"));
    let lines = following.lines();
    assert_eq!(lines.len(), 1 + 3 + 1, "{lines:?}");
    assert!(lines[1].ends_with("call-22"), "{lines:?}");
}

#[tokio::test]
async fn all_journal_rows_including_the_last_survive_a_restart() {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    let user = (demo.user.as_str(), demo.password.as_str());
    for n in 0..50 {
        read(&gateway, user, [127, 0, 0, 1], &format!("call-{n}")).await;
    }
    // The test does not wait for the writer here; the end of the process does.
    gateway.process.signal("TERM");
    let folder = Arc::clone(&gateway.folder);
    assert_eq!(gateway.process.ended().0, Some(0));
    let gateway = Gateway::over(folder, "", &[]);
    let rows = rows(&gateway, "method=getchatchannels").await;
    let ids: Vec<_> = rows.iter().map(|row| callers_id(row).unwrap()).collect();
    let expected: Vec<_> = (0..50).map(|n| format!("call-{n}")).collect();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn expired_rows_are_deleted_and_a_row_records_the_deletion() {
    if is_of_files("rows go by whole days") {
        return;
    }
    let gateway = Gateway::start();
    let demo = gateway.demo();
    let user = (demo.user.as_str(), demo.password.as_str());
    read(&gateway, user, [127, 0, 0, 1], "old").await;
    gateway.process.signal("TERM");
    let folder = Arc::clone(&gateway.folder);
    assert_eq!(gateway.process.ended().0, Some(0));
    let toml = "[journal]\nretention = \"1ms\"\npayload_retention = 0\n";
    let gateway = Gateway::over(folder, toml, &[]);
    // Old rows are deleted as soon as the process runs. The first read of the journal is a request with its own row, which is
    // deleted as well if it was written before the deletion.
    let reported = loop {
        let rows = rows(&gateway, "").await;
        if let Some(reported) = rows.into_iter().find(|row| row["kind"] == "clearing") {
            break reported;
        }
    };
    assert_eq!(reported["actor"], "housekeeping");
    let cause = reported["cause"].as_str().unwrap();
    let by_age = [
        "2 rows and 0 payloads, by age",
        "3 rows and 0 payloads, by age",
    ];
    assert!(by_age.contains(&cause), "{cause}");
    assert!(rows(&gateway, "request_id=old").await.is_empty());
}

#[tokio::test]
async fn answers_are_stored_only_for_accesses_with_a_full_journal() {
    let gateway = Gateway::start();
    for (name, level) in [("terse", "metadata"), ("whole", "full")] {
        let draft = json!({"name": name, "allow": ["any"], "journal": level});
        let secret = made(&gateway, draft).await;
        read(&gateway, (name, &secret), [127, 0, 0, 1], name).await;
        let head = client().head(gateway.url("/api/basic/?class=chat&method=getchatchannels"));
        let head = head.basic_auth(name, Some(&secret));
        Answer::of(head.header("X-Request-ID", format!("{name}-head"))).await;
    }
    let kept = async |id: &str| {
        let rows = rows(&gateway, &format!("request_id={id}")).await;
        rows[0]["answer"].as_str().map(str::to_owned)
    };
    assert_eq!(kept("terse").await, None);
    assert_eq!(kept("whole-head").await, None);
    assert!(kept("whole").await.unwrap().contains("\"platformid\""));
    let ran = run_on(&gateway, &["log", "--json", "--access", "whole"]);
    assert!(!ran.output.contains("\"answer\""), "{}", ran.output);
}

#[tokio::test]
async fn a_trace_id_is_accepted_only_from_trusted_peers() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for (toml, expected) in [
        (
            "[server]\ntrusted_proxies = [\"127.0.0.0/8\"]\n",
            Some(trace),
        ),
        ("", None),
    ] {
        let gateway = Gateway::configured(toml, &[]);
        let request = client()
            .get(gateway.url("/nowhere"))
            .header("X-Request-ID", "traced");
        let traceparent = format!("00-{trace}-00f067aa0ba902b7-01");
        Answer::of(request.header("traceparent", traceparent)).await;
        let rows = rows(&gateway, "request_id=traced").await;
        assert_eq!(rows[0]["trace_id"].as_str(), expected);
    }
}

#[tokio::test]
async fn a_user_agent_is_stored_in_any_script_without_control_characters() {
    let gateway = Gateway::start();
    let long = "ñ".repeat(500);
    // Each from its own address, because refusals of one address are counted together.
    let calls = [
        ("ascii", "curl/8.5.0".as_bytes(), "curl/8.5.0"),
        (
            "letters",
            "Müller 聊天/1.0 🎉".as_bytes(),
            "Müller 聊天/1.0 🎉",
        ),
        ("latin", b"M\xfcller/1.0", "M\u{fffd}ller/1.0"),
        // A terminal takes U+009B for the start of a control sequence.
        ("order", "a\u{9b}31m".as_bytes(), "a\u{fffd}31m"),
        ("long", long.as_bytes(), &long[..256]),
    ];
    for (last, (id, name, reported)) in (1..).zip(calls) {
        let caller = client_from([127, 0, 0, last].into());
        let request = caller.post(gateway.url("/api/basic/"));
        let request = request.header("User-Agent", name);
        Answer::of(request.header("X-Request-ID", id).body(READ)).await;
        let row = &rows(&gateway, &format!("request_id={id}")).await[0];
        assert_eq!(row["user_agent"], reported, "{id}");
        assert_eq!(gateway.logged(id)["user_agent"], reported, "{id}");
    }
}

#[tokio::test]
async fn the_journal_can_be_limited_to_rows_of_sends() {
    let gateway = Gateway::configured("[journal]\nrows = \"sends\"\n", &[]);
    let demo = gateway.demo();
    let channel = "platform=whatsapp&platformid=100";
    for form in [
        "class=chat&method=getchatchannels".to_owned(),
        format!("class=chat&method=sendmessage&{channel}&destination=1&message=m"),
        format!("class=chat&method=sendmessage&{channel}&destination=1"),
    ] {
        let call = client().post(gateway.url("/api/basic/"));
        let call = call.basic_auth(&demo.user, Some(&demo.password)).body(form);
        Answer::of(call).await;
    }
    let rows = rows(&gateway, "").await;
    let requests = rows.iter().filter(|row| row["kind"] == "request");
    let reported: Vec<_> = requests
        .map(|row| (&row["method"], &row["delivery"]))
        .collect();
    assert_eq!(reported, [(&json!("sendmessage"), &json!("sent"))]);
}

#[tokio::test]
async fn an_invalid_call_is_found_by_the_method_that_it_names() {
    let gateway = Gateway::start();
    let demo = gateway.demo();
    let form = "class=chat&method=sendmessage&platform=whatsapp&platformid=100";
    let call = client().post(gateway.url("/api/basic/"));
    let call = call.basic_auth(&demo.user, Some(&demo.password)).body(form);
    Answer::of(call).await;
    let rows = rows(&gateway, "method=sendmessage").await;
    let codes: Vec<_> = rows.iter().map(|row| &row["code"]).collect();
    assert_eq!(codes, [&json!("MISSING_COMPULSORY_PARAM")]);
    let line = gateway.process.wait_for("its log line", |line| {
        line.contains("MISSING_COMPULSORY_PARAM")
    });
    assert!(line.contains("\"method\":\"sendmessage\""), "{line}");
    // An operator can tell the caller which parameter it was, although most ways in do not.
    let cause = "The compulsory parameter destination is missing.";
    assert!(line.contains(cause), "{line}");
    assert_eq!(rows[0]["cause"], cause);
}
