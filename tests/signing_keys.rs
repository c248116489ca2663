//! Tests of the gateway's own signing keys, which commands change.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::harness::{Answer, Demo, Gateway, client, run_on};

pub fn token(gateway: &Gateway) -> String {
    let ran = run_on(gateway, &["token"]);
    ran.succeeded();
    ran.output.trim().to_owned()
}

pub async fn by_token(gateway: &Gateway, token: &str) -> u16 {
    let url = gateway.url("/api/jwt/?class=chat&method=getchatchannels");
    Answer::of(client().get(url).bearer_auth(token))
        .await
        .status
}

pub async fn by_password(gateway: &Gateway, demo: &Demo) -> u16 {
    let url = gateway.url("/api/basic/?class=chat&method=getchatchannels");
    let call = client()
        .get(url)
        .basic_auth(&demo.user, Some(&demo.password));
    Answer::of(call).await.status
}

pub async fn published_kids(gateway: &Gateway) -> Vec<String> {
    let jwks = Answer::of(client().get(gateway.url("/.well-known/jwks.json"))).await;
    let keys = jwks.json()["keys"].as_array().unwrap().clone();
    let kid = |key: &Value| key["kid"].as_str().unwrap().to_owned();
    keys.iter().map(kid).collect()
}

fn restart(gateway: Gateway) -> Gateway {
    let folder = Arc::clone(&gateway.folder);
    // The gateway is killed, because an acknowledged change has to be on the disk.
    drop(gateway);
    Gateway::over(folder, ISSUER_THAT_STAYS, &[])
}

/// A fixed issuer. Without this setting, the issuer changes with the port at every start.
const ISSUER_THAT_STAYS: &str = "[server]\npublic_url = \"https://chat.example.com/\"\n";

/// Gets a token from a gateway whose public URL leads elsewhere.
async fn token_with_fixed_issuer(gateway: &Gateway, demo: &Demo) -> String {
    let ask = client().post(gateway.url("/oauth/token"));
    let ask = ask.basic_auth(&demo.client_id, Some(&demo.client_secret));
    let answer = Answer::of(ask.form(&[("grant_type", "client_credentials")])).await;
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_rotated_key_signs_immediately_and_old_tokens_stay_valid_after_a_kill() {
    let gateway = Gateway::configured(ISSUER_THAT_STAYS, &[]);
    let demo = gateway.demo();
    let first = run_on(&gateway, &["keys", "list", "--json"]).json();
    assert_eq!(
        (&first[0]["state"], &first[1]),
        (&json!("signing"), &Value::Null)
    );
    let old = token_with_fixed_issuer(&gateway, &demo).await;

    let rotated = run_on(&gateway, &["keys", "rotate", "--json"]);
    let listed = run_on(&gateway, &["keys", "list", "--json"]).json();
    assert_eq!(rotated.json(), listed);
    assert_eq!(
        (&listed[0]["state"], &listed[1]["state"]),
        (&json!("signing"), &json!("verifying"))
    );
    assert_eq!(listed[1]["kid"], first[0]["kid"]);
    let new = token_with_fixed_issuer(&gateway, &demo).await;
    for token in [&old, &new] {
        assert_eq!(by_token(&gateway, token).await, 200);
    }
    let gateway = restart(gateway);
    let newer = token_with_fixed_issuer(&gateway, &demo).await;
    for token in [&old, &new, &newer] {
        assert_eq!(by_token(&gateway, token).await, 200);
    }
    let kid = |token: &str| {
        let head = token.split('.').next().unwrap();
        let head = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, head);
        serde_json::from_slice::<Value>(&head.unwrap()).unwrap()["kid"].clone()
    };
    assert_eq!(
        (kid(&old), kid(&new)),
        (listed[1]["kid"].clone(), listed[0]["kid"].clone())
    );
    assert_eq!(kid(&newer), kid(&new));
    let published = published_kids(&gateway).await;
    assert_eq!(json!(published), json!([kid(&old), kid(&new)]));
}

#[test]
fn signing_keys_are_listed_as_a_table_and_a_33rd_is_rejected() {
    let gateway = Gateway::start();
    for _ in 1..32 {
        run_on(&gateway, &["keys", "rotate"]).succeeded();
    }
    run_on(&gateway, &["keys", "rotate"]).failed(1, "rejects the request with status 409: 32 keys");
    let table = run_on(&gateway, &["keys", "list"]).output;
    let lines: Vec<_> = table.lines().collect();
    assert_eq!(lines.len(), 33);
    let column = lines[0].find("ALGORITHM").unwrap();
    assert!(
        lines[1..]
            .iter()
            .all(|line| line[column..].starts_with("EdDSA  ")),
        "{table}"
    );
    assert!(
        lines[1].ends_with("  signing") && lines[2].contains("  verifying until 2"),
        "{table}"
    );
}
