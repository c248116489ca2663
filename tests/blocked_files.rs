//! Tests of files that do not answer: reload, key refresh and shutdown go on without them. A pipe in `/dev/shm` without a writer
//! stands for a file on a mount that is gone.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{
    Gateway, ISSUER, Issuer, PATIENCE, UPSTREAM_PASSWORD, UPSTREAM_USER, admin, client, until,
};
use crate::outside_issuers::{Served, said};

/// Longest shutdown of a gateway with two seconds to drain. A gateway that waited for the file would never end.
const END: Duration = Duration::from_secs(20);

/// Replaces a file with a pipe.
fn block(path: &Path) {
    let _ = std::fs::remove_file(path);
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn well(path: &Path, content: &str) {
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, content).unwrap();
}

fn ends(gateway: Gateway) {
    gateway.process.signal("TERM");
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(gateway.process.ended().0));
    let code = receiver.recv_timeout(END);
    assert_eq!(code.expect("it does not end"), Some(0));
}

#[tokio::test]
async fn a_reload_names_the_blocking_file_and_the_next_reload_succeeds() {
    let shared_memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let ordinary = TempDir::new().unwrap();
    for (folder, expected) in [
        (&shared_memory, "it could not be read within 5 s"),
        (&ordinary, "it is a pipe"),
    ] {
        let password = folder.path().join("password");
        std::fs::write(&password, UPSTREAM_PASSWORD).unwrap();
        let toml = format!(
            "[limits]\ndrain_timeout = \"2s\"\n[upstream]\nurl = \"http://127.0.0.1:9/\"\nuser = {UPSTREAM_USER:?}\npassword = \"file:{}\"\n",
            password.display()
        );
        let gateway = Gateway::configured(&toml, &[]);
        block(&password);
        let refused = admin(&gateway, Method::POST, "reload", &Value::Null).await;
        assert_eq!(refused.status, 422, "{}", refused.body);
        // The row has the time of the end, so that readers that follow the journal have not passed it. The wait took five seconds.
        let recent = "journal?follow=true&since=4s";
        let recent = admin(&gateway, Method::GET, recent, &Value::Null).await;
        assert_eq!(recent.json()["rows"][0]["status"], 422, "{}", recent.body);
        let said = refused.json()["errors"].to_string();
        for part in ["upstream.password", "password", expected] {
            assert!(said.contains(part), "{part}: {said}");
        }
        well(&password, UPSTREAM_PASSWORD);
        let taken = admin(&gateway, Method::POST, "reload", &Value::Null).await;
        assert_eq!(taken.status, 200, "{}", taken.body);
        block(&password);
        ends(gateway);
    }
}

#[tokio::test]
async fn a_blocking_issuer_file_delays_neither_other_issuers_nor_shutdown() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let file = folder.path().join("jwks.json");
    let (blocked, other) = (Issuer::new(), Issuer::new());
    std::fs::write(&file, blocked.jwks()).unwrap();
    let served = Served::new(200, other.jwks()).await;
    let toml = blocked.as_configuration();
    let line = toml.lines().find(|line| line.starts_with("jwks")).unwrap();
    let toml = toml.replace(line, &format!("jwks = {file:?}\nrefresh = \"1s\""));
    let toml = toml.replace(ISSUER, "https://blocked.example");
    let toml = format!(
        "{toml}{}[limits]\ndrain_timeout = \"2s\"\nguesses_per_address = 100000\n",
        served.as_configuration(&other)
    );
    let gateway = Gateway::configured(&toml, &[]);
    let issuers = async || {
        let status = admin(&gateway, Method::GET, "status", &Value::Null).await;
        status.json()["issuers"].clone()
    };
    until("the keys do not come", async || {
        issuers().await[1]["keys"] == json!(1)
    })
    .await;
    block(&file);
    until("the block is not shown", async || {
        let said = issuers().await[0]["error"].to_string();
        said.contains("could not be read within 5 s") && said.contains("jwks.json")
    })
    .await;
    let claims = json!({"iss": "https://blocked.example", "sub": "demo", "scope": "chat"});
    let unknown = Issuer::new().token_with(&claims);
    assert_eq!(said(&gateway, &unknown).await, "OVERLOADED");
    // The blocked file is retried again and again. Another issuer can still withdraw its key.
    served.says(200, Issuer::new().jwks());
    let token = other.token("demo", 300);
    until("the key was withdrawn and still serves", async || {
        said(&gateway, &token).await != "SUCCESS"
    })
    .await;
    ends(gateway);
}

#[tokio::test]
async fn a_blocking_configuration_file_fails_the_reload_but_not_the_gateway() {
    let gateway = Gateway::configured("[limits]\ndrain_timeout = \"2s\"\n", &[]);
    let file = gateway.folder.path().join("chatgate.toml");
    block(&file);
    let refused = admin(&gateway, Method::POST, "reload", &Value::Null).await;
    assert_eq!(refused.status, 422, "{}", refused.body);
    assert!(refused.body.contains("it is a pipe"), "{}", refused.body);
    let ready = client().get(format!("http://{}/readyz", gateway.admin));
    let ready = tokio::time::timeout(PATIENCE, ready.send()).await;
    assert_eq!(ready.unwrap().unwrap().status(), 200);
    ends(gateway);
}
