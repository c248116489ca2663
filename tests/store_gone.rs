//! Tests of a store whose file is removed, replaced or moved while the gateway runs. Anything written then would be lost with the
//! process, so nothing is sent until the file is back.

use std::fs;
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{
    Answer, Demo, Gateway, Sandbox, UPSTREAM_ENVIRONMENT, admin, client, is_of_files, until,
};

async fn ready(gateway: &Gateway) -> Answer {
    Answer::of(client().get(format!("http://{}/readyz", gateway.admin))).await
}

async fn is_failing(gateway: &Gateway) -> bool {
    ready(gateway).await.body.contains("store_failing")
}

async fn send(gateway: &Gateway, demo: &Demo, key: &str) -> Answer {
    let form = [
        ("class", "chat"),
        ("method", "sendmessage"),
        ("platform", "whatsapp"),
        ("platformid", "100"),
        ("destination", "34600000000"),
        ("message", "once"),
    ];
    let request = client().post(gateway.url("/api/basic/")).form(&form);
    let request = request.basic_auth(&demo.user, Some(&demo.password));
    Answer::of(request.header("Idempotency-Key", key)).await
}

/// Checks that nothing is sent and nothing is changed.
async fn refuses(gateway: &Gateway, (demo, sandbox): (&Demo, &Sandbox), suspend: Option<&str>) {
    assert_eq!(ready(gateway).await.status, 503);
    let before = sandbox.sent().await;
    let refused = send(gateway, demo, "refused").await;
    assert!(refused.body.contains("OVERLOADED"), "{}", refused.body);
    assert!(refused.body.contains("not_sent"), "{}", refused.body);
    assert_eq!(sandbox.sent().await, before);
    if let Some(key) = suspend {
        let url = format!("http://{}/admin/v1/accesses/demo", gateway.admin);
        let suspended = json!({"state": "suspended"}).to_string();
        let change = client().patch(url).bearer_auth(key).body(suspended);
        assert_eq!(Answer::of(change).await.status, 503);
    }
}

#[tokio::test]
async fn a_store_whose_log_is_removed_fails_and_a_stop_saves_its_data() {
    if is_of_files("there is no log") {
        return;
    }
    let sandbox = Sandbox::start();
    let gateway = Gateway::configured(&sandbox.as_upstream(), &[UPSTREAM_ENVIRONMENT]);
    let (demo, data) = (gateway.demo(), gateway.data());
    let with = (&demo, &sandbox);
    assert_eq!(send(&gateway, &demo, "first").await.status, 200);
    let (log, aside) = (data.join("chatgate.db-wal"), data.join("aside"));
    fs::rename(&log, &aside).unwrap();
    until("a moved log fails", async || is_failing(&gateway).await).await;
    let found = |line: &str| line.contains("\"ERROR\"") && line.contains("chatgate.db-wal");
    gateway.process.wait_for("the error", found);
    fs::rename(&aside, &log).unwrap();
    until("the same log is back", async || {
        ready(&gateway).await.status == 200
    })
    .await;
    assert_eq!(send(&gateway, &demo, "second").await.status, 200);

    fs::remove_file(&log).unwrap();
    until("a removed log fails", async || is_failing(&gateway).await).await;
    refuses(&gateway, with, None).await;
    let folder = Arc::clone(&gateway.folder);
    gateway.process.signal("TERM");
    assert_eq!(gateway.process.ended().0, Some(0));
    let gateway = Gateway::over(folder, &sandbox.as_upstream(), &[UPSTREAM_ENVIRONMENT]);
    for key in ["first", "second"] {
        assert_eq!(send(&gateway, &demo, key).await.status, 200);
    }
    assert_eq!(sandbox.sent().await["sends"], 2);
}

#[tokio::test]
async fn a_store_whose_file_is_removed_fails_until_the_file_is_back() {
    if is_of_files("there is no file") {
        return;
    }
    let sandbox = Sandbox::start();
    let gateway = Gateway::configured(&sandbox.as_upstream(), &[UPSTREAM_ENVIRONMENT]);
    let (demo, data) = (gateway.demo(), gateway.data());
    let key = fs::read_to_string(data.join("admin.key")).unwrap();
    let with = (&demo, &sandbox);
    assert_eq!(send(&gateway, &demo, "first").await.status, 200);
    let (store, aside) = (data.join("chatgate.db"), data.join("aside"));

    fs::rename(&store, &aside).unwrap();
    until("a removed store fails", async || is_failing(&gateway).await).await;
    refuses(&gateway, with, Some(key.trim())).await;
    let line = gateway.process.wait_for("the error", |line| {
        line.contains("\"ERROR\"") && line.contains("removed, replaced or moved")
    });
    assert!(line.contains("chatgate.db"), "{line}");

    fs::copy(&aside, &store).unwrap();
    refuses(&gateway, with, None).await;
    fs::rename(&aside, &store).unwrap();
    until("the same store is back", async || {
        ready(&gateway).await.status == 200
    })
    .await;
    let again = send(&gateway, &demo, "first").await;
    assert_eq!(again.status, 200, "{}", again.body);
    assert_eq!(sandbox.sent().await["sends"], 1);
    let read = admin(&gateway, Method::GET, "accesses/demo", Value::Null).await;
    assert_eq!(read.json()["state"], "active");

    let moved = gateway.folder.path().join("moved");
    fs::rename(&data, &moved).unwrap();
    until("a moved folder fails", async || is_failing(&gateway).await).await;
    refuses(&gateway, with, None).await;
    fs::rename(&moved, &data).unwrap();
    until("the folder is back", async || {
        ready(&gateway).await.status == 200
    })
    .await;
    assert_eq!(send(&gateway, &demo, "last").await.status, 200);
    assert_eq!(sandbox.sent().await["sends"], 2);
}
