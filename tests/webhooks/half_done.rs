//! Tests of stores that fail in the middle of an operator's action: the action is done and reported, or not done.

use std::process::Command;

use reqwest::Method;
use serde_json::{Value, json};

use super::{CONFIGURATION, act, make, with_access};
use crate::harness::{ClosedPort, Gateway, admin, is_postgres, skipped};

/// Executes statements in the store's file, in parallel to the gateway. Returns `false` if that is not possible.
fn executed(gateway: &Gateway, sql: &str) -> bool {
    if is_postgres() {
        skipped("it writes into SQLite's file");
        return false;
    }
    let script = "import sqlite3, sys\n\
        sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10).executescript(sys.argv[2])";
    let python = Command::new("python3")
        .args(["-c", script])
        .arg(gateway.data().join("chatgate.db"))
        .arg(sql)
        .status();
    let Ok(status) = python else {
        skipped("there is no python3 here");
        return false;
    };
    assert!(status.success(), "{sql}");
    true
}

#[tokio::test]
async fn a_new_webhook_secret_is_shown_even_if_the_webhook_disappears() {
    let gateway = with_access(CONFIGURATION).await;
    let url = format!("http://{}/", ClosedPort::new().address);
    let first = make(&gateway, &url).await.json();
    // As soon as the webhook has a secret, it disappears from the list, as if its access had been deleted.
    let gone = "UPDATE webhooks SET client_id = 'gone' WHERE id = NEW.id;";
    let triggers = format!(
        "CREATE TRIGGER gone_at_once AFTER INSERT ON webhooks BEGIN {gone} END;
         CREATE TRIGGER gone_after AFTER UPDATE OF secrets ON webhooks BEGIN {gone} END;"
    );
    if !executed(&gateway, &triggers) {
        return;
    }
    let id = first["id"].as_str().unwrap();
    let rotated = act(&gateway, id, "rotate", json!({})).await;
    let made = make(&gateway, &url).await;
    assert_eq!(made.status, 201, "{}", made.body);
    for shown in [rotated, made.json()] {
        assert!(shown["secret"].as_str().unwrap().starts_with("whsec_"));
        assert_eq!(shown["access"], "shop");
        let path = format!("webhooks/{}", shown["id"].as_str().unwrap());
        let answer = admin(&gateway, Method::GET, &path, Value::Null).await;
        assert_eq!(answer.status, 404, "{}", answer.body);
    }
}

#[tokio::test]
async fn a_backlog_is_not_skipped_if_the_webhook_cannot_resume() {
    let gateway = with_access(CONFIGURATION).await;
    let url = format!("http://{}/", ClosedPort::new().address);
    let made = make(&gateway, &url).await.json();
    let id = made["id"].as_str().unwrap();
    let paused = act(&gateway, id, "pause", Value::Null).await;
    let sql = format!(
        "INSERT INTO deliveries (webhook, position, event_id, state, attempts, first_at, next_at, cause)
         VALUES ('{id}', 1, 'evt_left', 'pending', 0, 0, 0, '');
         CREATE TRIGGER stays BEFORE UPDATE OF state ON webhooks WHEN NEW.state = 'active'
         BEGIN SELECT RAISE(ABORT, 'the disk is full'); END;"
    );
    if !executed(&gateway, &sql) {
        return;
    }
    let path = format!("webhooks/{id}/resume");
    let resume = async || admin(&gateway, Method::POST, &path, json!({"skip": true})).await;
    let left = async || {
        let path = format!("webhooks/{id}/deliveries");
        let answer = admin(&gateway, Method::GET, &path, Value::Null).await;
        answer.json()["deliveries"].as_array().unwrap().len()
    };
    let refused = resume().await;
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert_eq!(left().await, 1);
    assert!(executed(&gateway, "DROP TRIGGER stays"));
    let resumed = resume().await.json();
    // The webhook waits now because its access may not call getevents.
    assert_ne!(resumed["cause"], paused["cause"]);
    assert_eq!(left().await, 0);
}
