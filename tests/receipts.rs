//! Tests of idempotency keys: a repeated send gets the first result and is not sent again, by whatever way in it comes, through
//! crashes, and whatever the number of concurrent requests.

use std::process::Command;
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Answer, Demo, Gateway, Sandbox, UPSTREAM_ENVIRONMENT, admin, binary, client, envelope,
    has_line, load, until,
};

/// A gateway in front of a sandbox that counts.
struct Stage {
    gateway: Gateway,
    sandbox: Sandbox,
    demo: Demo,
}

impl Stage {
    fn set() -> Stage {
        Stage::configured("")
    }

    fn configured(rest: &str) -> Stage {
        let sandbox = Sandbox::start();
        let limits = "[limits]\nper_address_per_minute = 1000000\n";
        let toml = format!("{}timeout = \"2s\"\n{limits}{rest}", sandbox.as_upstream());
        let gateway = Gateway::configured(&toml, &[UPSTREAM_ENVIRONMENT]);
        let demo = gateway.demo();
        Stage {
            gateway,
            sandbox,
            demo,
        }
    }

    fn post(&self, message: &str) -> reqwest::RequestBuilder {
        let form = [&call(message)[..], &[("class", "chat")]].concat();
        let request = client().post(self.gateway.url("/api/basic/"));
        request
            .basic_auth(&self.demo.user, Some(&self.demo.password))
            .form(&form)
    }

    async fn send(&self, key: &str, message: &str) -> Answer {
        Answer::of(self.post(message).header("Idempotency-Key", key)).await
    }

    /// Makes only the checks of this send.
    async fn head(&self, key: &str, message: &str) -> Answer {
        let form = [&call(message)[..], &[("class", "chat")]].concat();
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let query = query.extend_pairs(form).finish();
        let url = self.gateway.url(&format!("/api/basic/?{query}"));
        let request = client().head(url);
        let request = request.basic_auth(&self.demo.user, Some(&self.demo.password));
        Answer::of(request.header("Idempotency-Key", key)).await
    }

    /// Returns the number of messages that the upstream has taken.
    async fn sent(&self) -> u64 {
        self.sandbox.sent().await["sends"].as_u64().unwrap()
    }

    async fn receipt(&self, key: &str) -> Answer {
        let path = format!("receipts/demo/{key}");
        admin(&self.gateway, Method::GET, &path, &Value::Null).await
    }
}

fn call(message: &str) -> [(&str, &str); 5] {
    [
        ("method", "sendmessage"),
        ("platform", "whatsapp"),
        ("platformid", "100"),
        ("destination", "34600000000"),
        ("message", message),
    ]
}

#[tokio::test]
async fn the_same_key_by_every_way_in_sends_once() {
    let stage = Stage::set();
    let (demo, url) = (&stage.demo, |path: &str| stage.gateway.url(path));
    let credentials = [("user", &*demo.user), ("password", &*demo.password)];
    // Header, parameter, SOAP header block and SOAP child element: all the places where a key can be.
    let form = [&call("once")[..], &credentials, &[("class", "chat")]].concat();
    let by_parameter = [&form[..], &[("idempotency_key", "k-1")]].concat();
    let elements = [&call("once")[1..], &credentials].concat();
    let child = [&elements[..], &[("idempotency_key", "k-1")]].concat();
    let block = "<s:Header><k:IdempotencyKey xmlns:k=\"urn:chatgate:chat:v1\">k-1</k:IdempotencyKey></s:Header><s:Body>";
    let with_block = envelope("sendmessage", &elements).replacen("<s:Body>", block, 1);
    let soap = || {
        client()
            .post(url("/api/soap/"))
            .header("Content-Type", "text/xml")
    };
    let asked = [
        client()
            .post(url("/api/http/"))
            .form(&form)
            .header("Idempotency-Key", "k-1"),
        client().post(url("/api/http/")).form(&by_parameter),
        stage.post("once").header("Idempotency-Key", "k-1"),
        soap().body(envelope("sendmessage", &child)),
        soap().body(with_block),
    ];
    for (n, request) in asked.into_iter().enumerate() {
        let answer = Answer::of(request).await;
        assert_eq!(answer.status, 200, "{n}: {}", answer.body);
        let replayed = if n == 0 { "" } else { "true" };
        assert_eq!(answer.header("idempotent-replayed"), replayed, "{n}");
        assert!(answer.body.contains("sent"), "{n}: {}", answer.body);
    }
    assert_eq!(stage.sent().await, 1);
    let receipt = stage.receipt("k-1").await.json()["receipts"][0].clone();
    assert_eq!(
        (&receipt["state"], &receipt["delivery"], &receipt["method"]),
        (&json!("ended"), &json!("sent"), &json!("sendmessage"))
    );
    assert_eq!(stage.receipt("k-2").await.status, 404);
    let reported = Command::new(binary())
        .args([
            "receipt",
            "demo",
            "k-1",
            "--json",
            "--admin",
            &stage.gateway.admin.to_string(),
        ])
        .arg("--data")
        .arg(stage.gateway.data())
        .output()
        .unwrap();
    let reported: Value = serde_json::from_slice(&reported.stdout).unwrap();
    assert_eq!(reported[0], receipt);
}

#[tokio::test]
async fn a_key_is_bound_to_its_first_request_and_separate_for_each_access() {
    let stage = Stage::set();
    assert_eq!(stage.send("k", "one").await.status, 200);
    let other = stage.send("k", "two").await;
    let reported = other.json();
    assert_eq!(
        (other.status, &reported["error"], &reported["delivery"]),
        (422, &json!("IDEMPOTENCY_MISMATCH"), &json!("sent"))
    );
    // The same values in another order are the same request.
    let mut turned = call("one").to_vec();
    turned.reverse();
    let again = client().post(stage.gateway.url("/api/http/")).form(
        &[
            &turned[..],
            &[
                ("class", "chat"),
                ("user", &stage.demo.user),
                ("password", &stage.demo.password),
            ],
        ]
        .concat(),
    );
    let again = Answer::of(again.header("Idempotency-Key", "k")).await;
    assert_eq!(
        (again.status, again.header("idempotent-replayed")),
        (200, "true")
    );
    let draft = json!({"name": "second", "allow": ["127.0.0.1"]});
    let made = admin(&stage.gateway, Method::POST, "accesses", &draft)
        .await
        .json();
    let second = client()
        .post(stage.gateway.url("/api/basic/"))
        .basic_auth("second", made["password"].as_str())
        .form(&[&call("two")[..], &[("class", "chat")]].concat());
    let second = Answer::of(second.header("Idempotency-Key", "k")).await;
    assert_eq!(
        (second.status, second.header("idempotent-replayed")),
        (200, "")
    );
    assert_eq!(stage.sent().await, 2);
    for (key, text) in [
        ("", "1 to 255"),
        ("a b", "1 to 255"),
        (&*"x".repeat(256), "1 to 255"),
    ] {
        let wrong = stage.send(key, "three").await;
        assert_eq!(
            (wrong.status, &wrong.json()["error"]),
            (400, &json!("INCORRECT_PARAM")),
            "{text}: {}",
            wrong.body
        );
    }
}

#[tokio::test]
async fn head_looks_a_key_up_and_claims_none() {
    let stage = Stage::set();
    assert_eq!(stage.send("k", "one").await.status, 200);
    assert_eq!(stage.head("k", "two").await.status, 422);
    for (key, replayed) in [("k", "true"), ("unused", "")] {
        let head = stage.head(key, "one").await;
        let reported = (head.status, head.header("idempotent-replayed"));
        assert_eq!(reported, (200, replayed));
        assert!(head.body.is_empty());
    }
    assert_eq!(stage.receipt("unused").await.status, 404);
    assert_eq!(stage.sent().await, 1);
}

#[tokio::test]
async fn a_not_sent_result_frees_its_key_and_an_unknown_result_is_replayed() {
    let stage = Stage::set();
    let refuses = json!([{"method": "sendmessage", "fault": "error_code", "code": "CHAT_NOT_FOUND", "count": 1}]);
    stage.sandbox.faults(refuses).await;
    let refused = stage.send("free", "m").await;
    assert_eq!(refused.json()["delivery"], "not_sent", "{}", refused.body);
    let sent = stage.send("free", "m").await;
    assert_eq!(
        (
            sent.json()["delivery"].as_str(),
            sent.header("idempotent-replayed")
        ),
        (Some("sent"), "")
    );

    stage
        .sandbox
        .faults(json!([{"method": "sendmessage", "fault": "reset_after", "count": 1}]))
        .await;
    let lost = stage.send("lost", "n").await;
    let reported = lost.json();
    assert_eq!(
        (lost.status, &reported["error"], &reported["delivery"]),
        (502, &json!("UPSTREAM_ERROR"), &json!("unknown"))
    );
    let before = stage.sent().await;
    let again = stage.send("lost", "n").await;
    let reported = again.json();
    assert_eq!(
        (again.status, &reported["error"], &reported["delivery"]),
        (502, &json!("UPSTREAM_ERROR"), &json!("unknown"))
    );
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(stage.sent().await, before);
    // By SOAP the result is the same in another dialect.
    let elements = [
        &call("n")[1..],
        &[
            ("user", &*stage.demo.user),
            ("password", &stage.demo.password),
            ("idempotency_key", "lost"),
        ],
    ]
    .concat();
    let soap = client()
        .post(stage.gateway.url("/api/soap/"))
        .header("Content-Type", "text/xml");
    let soap = Answer::of(soap.body(envelope("sendmessage", &elements))).await;
    assert!(
        soap.body.contains("<c:code>UPSTREAM_ERROR</c:code>")
            && soap.body.contains("<c:delivery>unknown"),
        "{}",
        soap.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_send_in_progress_is_reported_and_ends_after_its_caller_disconnects() {
    let stage = Arc::new(Stage::set());
    stage
        .sandbox
        .faults(json!([{"method": "sendmessage", "fault": "latency", "ms": 1000, "count": 1}]))
        .await;
    let first = {
        let stage = Arc::clone(&stage);
        tokio::spawn(async move { stage.send("slow", "m").await })
    };
    until("the receipt is there", async || {
        stage.receipt("slow").await.status == 200
    })
    .await;
    let under_way = stage.send("slow", "m").await;
    let reported = under_way.json();
    assert_eq!(
        (under_way.status, &reported["error"], &reported["delivery"]),
        (409, &json!("IDEMPOTENCY_IN_PROGRESS"), &json!("unknown"))
    );
    assert_eq!(under_way.header("retry-after"), "1");
    assert_eq!(stage.head("slow", "m").await.status, 409);
    first.abort();
    until("the send ends", async || {
        stage.receipt("slow").await.json()["receipts"][0]["state"] == "ended"
    })
    .await;
    let replayed = stage.send("slow", "m").await;
    assert_eq!(
        (
            replayed.json()["delivery"].as_str(),
            replayed.header("idempotent-replayed")
        ),
        (Some("sent"), "true")
    );
    let other = stage.send("slow", "another").await;
    assert_eq!(other.json()["error"], "IDEMPOTENCY_MISMATCH");
    assert_eq!(stage.sent().await, 1);
    // One send was made, and its delivery is counted once.
    let metrics = stage.gateway.metrics().await;
    for (word, count) in [("sent", 1), ("unknown", 0), ("not_sent", 0)] {
        let line = format!("chatgate_deliveries_total{{delivery=\"{word}\"}} {count}");
        assert!(has_line(&metrics, &line), "{line}: {metrics}");
    }
}

#[tokio::test]
async fn a_receipt_survives_a_kill_and_an_open_one_becomes_unknown() {
    let stage = Stage::set();
    assert_eq!(stage.send("kept", "m").await.status, 200);
    stage
        .sandbox
        .faults(json!([{"method": "sendmessage", "fault": "latency", "ms": 60_000, "count": 1}]))
        .await;
    let hanging = tokio::spawn(stage.post("n").header("Idempotency-Key", "open").send());
    until("the receipt is there", async || {
        stage.receipt("open").await.status == 200
    })
    .await;
    let Stage {
        gateway,
        sandbox,
        demo,
    } = stage;
    let (folder, toml) = (
        Arc::clone(&gateway.folder),
        std::fs::read_to_string(gateway.folder.path().join("chatgate.toml")).unwrap(),
    );
    gateway.process.signal("KILL");
    gateway.process.ended();
    hanging.abort();
    sandbox.faults(json!([])).await;
    let gateway = Gateway::over(folder, &toml, &[UPSTREAM_ENVIRONMENT]);
    let stage = Stage {
        gateway,
        sandbox,
        demo,
    };
    // Over a file, the start ends the receipt. Among replicas, it ends when the lease of the killed replica expires.
    until("the open one has ended", async || {
        stage.receipt("open").await.json()["receipts"][0]["state"] == "ended"
    })
    .await;
    let sent = stage.sent().await;
    let kept = stage.send("kept", "m").await;
    assert_eq!(
        (
            kept.json()["delivery"].as_str(),
            kept.header("idempotent-replayed")
        ),
        (Some("sent"), "true")
    );
    let open = stage.send("open", "n").await;
    assert_eq!(
        (
            open.json()["delivery"].as_str(),
            open.header("idempotent-replayed")
        ),
        (Some("unknown"), "true")
    );
    assert_eq!(stage.sent().await, sent);
    let unknown = "journal?delivery=unknown";
    let log = admin(&stage.gateway, Method::GET, unknown, &Value::Null).await;
    let log = log.json();
    let rows = log["rows"].as_array().unwrap();
    assert!(rows.iter().all(|row| row["open"] != true), "{log}");
    assert!(!rows.is_empty());
}

#[tokio::test]
async fn a_receipt_expires_as_configured_and_a_replay_counts_for_no_limit() {
    let stage = Stage::configured("[receipts]\nkeep = \"1s\"\n");
    assert_eq!(stage.send("brief", "m").await.status, 200);
    // Only time makes the receipt expire.
    until("the receipt is over", async || {
        stage.send("brief", "m").await.header("idempotent-replayed") != "true"
    })
    .await;
    assert_eq!(stage.sent().await, 2);

    let stage = Stage::set();
    let draft = json!({"name": "few", "allow": ["127.0.0.1"], "rate": "1/min"});
    let made = admin(&stage.gateway, Method::POST, "accesses", &draft)
        .await
        .json();
    let few = || {
        let form = [&call("m")[..], &[("class", "chat")]].concat();
        let request = client().post(stage.gateway.url("/api/basic/"));
        request
            .basic_auth("few", made["password"].as_str())
            .form(&form)
    };
    for replayed in ["", "true", "true"] {
        let answer = Answer::of(few().header("Idempotency-Key", "k")).await;
        assert_eq!(
            (answer.status, answer.header("idempotent-replayed")),
            (200, replayed)
        );
    }
    assert_eq!(Answer::of(few()).await.status, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_with_one_key_send_once() {
    let (keys, times) = (load(50, 1000), 100);
    let stage = Arc::new(Stage::set());
    let mut asking = tokio::task::JoinSet::new();
    // As many connections as repetitions. Each connection uses every key, and all begin with the same key.
    for _ in 0..times {
        let stage = Arc::clone(&stage);
        asking.spawn(async move {
            let caller = client();
            let mut sent = 0;
            for key in 0..keys {
                let message = format!("m-{key}");
                let form = [&call(&message)[..], &[("class", "chat")]].concat();
                let ask = caller
                    .post(stage.gateway.url("/api/basic/"))
                    .basic_auth(&stage.demo.user, Some(&stage.demo.password));
                let answer = Answer::of(
                    ask.form(&form)
                        .header("Idempotency-Key", format!("key-{key}")),
                )
                .await;
                match answer.status {
                    200 => sent += usize::from(answer.header("idempotent-replayed").is_empty()),
                    409 => {}
                    _ => panic!("{}", answer.body),
                }
            }
            sent
        });
    }
    let first_reported: usize = asking.join_all().await.into_iter().sum();
    assert_eq!((first_reported, stage.sent().await), (keys, keys as u64));
    println!(
        "{} duplicates over {keys} keys: {} sends at the upstream",
        keys * times,
        stage.sent().await
    );
}
