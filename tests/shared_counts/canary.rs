//! Checks that neither Valkey nor its replication and dumps contain personal data.

use std::sync::{Arc, Mutex};

use serde_json::json;

use super::{READ, SharingFleet};
use crate::harness::{Answer, Gateway, client_from, made, skipped, until};

/// Makes a call of every counted kind with canaries, and returns the access's secret.
async fn call_as_canary(gateway: &Gateway) -> String {
    let draft = json!({
        "name": "canary-access", "user": "canary-user", "allow": ["any"], "rate": "60/min",
        "per_destination": "30/min", "concurrent": 5,
    });
    let secret = made(gateway, draft).await;
    let send = "class=chat&method=sendmessage&platform=whatsapp&platformid=100\
        &destination=34600123456&message=canary-text";
    for body in [READ, send] {
        let request = client_from("127.7.7.7".parse().unwrap()).post(gateway.url("/api/basic/"));
        let answer = Answer::of(request.basic_auth("canary-user", Some(&secret)).body(body)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let wrong = client_from("127.7.7.7".parse().unwrap()).post(gateway.url("/api/basic/"));
    let wrong = wrong
        .basic_auth("canary-user", Some("canary-guess"))
        .body(READ);
    assert_eq!(Answer::of(wrong).await.status, 401);
    let status = format!("http://{}/admin/v1/status", gateway.admin);
    let wrong_key = client_from("127.7.7.7".parse().unwrap()).get(status);
    let wrong_key = Answer::of(wrong_key.bearer_auth("canary-key")).await;
    assert_eq!(wrong_key.status, 401);
    secret
}

#[tokio::test(flavor = "multi_thread")]
async fn valkey_receives_no_personal_data() {
    let Some(sharing) = SharingFleet::start() else {
        return skipped("Valkey or PostgreSQL");
    };
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let (watch, keep) = (sharing.valkey.watch(), Arc::clone(&seen));
    std::thread::spawn(move || watch.for_each(|line| keep.lock().unwrap().push(line)));
    let followed = Arc::<Mutex<Vec<u8>>>::default();
    let (follow, keep) = (sharing.valkey.follow(), Arc::clone(&followed));
    std::thread::spawn(move || follow.for_each(|heard| keep.lock().unwrap().extend(heard)));
    let gateway = &sharing.gateways()[0];
    let secret = call_as_canary(gateway).await;
    // The kinds of counts, and the notice of a send.
    let kinds = ["ac:", "de:", "ip:", "ga:", "gn:", "tu:", "op:", "sent"];
    until("Valkey has heard of all", async || {
        let seen = seen.lock().unwrap();
        kinds
            .iter()
            .all(|kind| seen.iter().any(|line| line.contains(&format!(":{kind}"))))
    })
    .await;
    let followed = || String::from_utf8_lossy(&followed.lock().unwrap()).into_owned();
    until("its followers as well", async || {
        let followed = followed();
        kinds
            .iter()
            .all(|kind| followed.contains(&format!(":{kind}")))
    })
    .await;

    let keys = sharing.valkey.ask(&["KEYS", "*"]);
    let mut all = seen.lock().unwrap().clone();
    all.push(followed());
    for key in keys.lines() {
        let count = &key[key.rfind('{').unwrap()..];
        assert!(key.starts_with("cg:") && count.len() <= 34, "{key}");
        all.push(key.to_owned());
        all.push(sharing.valkey.ask(&["DUMP", key]));
        // The key may have expired since it was listed, which gives -2. A key without expiry gives -1.
        let left_ms = sharing.valkey.ask(&["PTTL", key]);
        assert_ne!(left_ms.trim(), "-1", "{key} has no end");
    }
    println!("{} keys, {} lines heard", keys.lines().count(), all.len());
    for line in &all {
        for canary in ["canary", "34600123456", "127.7.7.7", &secret] {
            assert!(!line.contains(canary), "{canary} is in {line}");
        }
    }
}
