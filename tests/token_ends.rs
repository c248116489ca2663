//! Tests of tokens that end before they expire: with the access, with a secret, or by an operator's request.

use std::process::Command;
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Gateway, Issuer, admin, binary, client, envelope, until};

const CALL: &str = "class=chat&method=getchatchannels";

struct Client {
    id: String,
    secret: String,
}

/// Makes the access and returns the credentials of its client.
async fn made(gateway: &Gateway, name: &str) -> Client {
    let draft = json!({"name": name, "allow": ["127.0.0.0/8"]});
    client_of(&admin(gateway, Method::POST, "accesses", draft).await, 201)
}

fn client_of(answer: &Answer, status: u16) -> Client {
    assert_eq!(answer.status, status, "{}", answer.body);
    let said = answer.json();
    let text = |name: &str| said[name].as_str().unwrap().to_owned();
    Client {
        id: text("client_id"),
        secret: text("client_secret"),
    }
}

async fn asked(gateway: &Gateway, by: &Client) -> Answer {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", by.id.as_str()),
        ("client_secret", by.secret.as_str()),
    ];
    Answer::of(client().post(gateway.url("/oauth/token")).form(&form)).await
}

async fn token(gateway: &Gateway, by: &Client) -> String {
    let answer = asked(gateway, by).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

/// Returns the status for a token by every way in that takes bearer tokens; all have to agree.
async fn status(gateway: &Gateway, token: &str) -> u16 {
    let jwt = gateway.url("/api/jwt/");
    let soap = gateway.url("/api/soap/");
    let body = envelope("getchatchannels", &[]);
    let soap_12 = body.replace(
        "http://schemas.xmlsoap.org/soap/envelope/",
        "http://www.w3.org/2003/05/soap-envelope",
    );
    let soap = |kind: &str, body: String| {
        let call = client().post(&soap).header("Content-Type", kind);
        call.body(body)
    };
    let calls = [
        client().get(format!("{jwt}?{CALL}")),
        client().post(&jwt).body(CALL),
        soap("text/xml", body),
        soap("application/soap+xml", soap_12),
    ];
    let mut said = Vec::new();
    for call in calls {
        let answer = Answer::of(call.bearer_auth(token)).await;
        let is_right = answer.status == 200 || answer.body.contains("INCORRECT_TOKEN");
        assert!(is_right, "{}", answer.body);
        said.push(answer.status);
    }
    assert!(said.iter().all(|status| *status == said[0]), "{said:?}");
    said[0]
}

fn now() -> u64 {
    std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// Waits until an outside token that is issued now is accepted. Tokens from the same second as the end are still refused.
async fn wait_until_outside_tokens_are_accepted(gateway: &Gateway, issuer: &Issuer, access: &str) {
    let fresh = || issuer.token_with(&json!({"sub": access, "scope": "chat", "iat": now()}));
    until("a fresh token is taken", async || {
        status(gateway, &fresh()).await == 200
    })
    .await;
}

#[tokio::test]
async fn tokens_of_a_deleted_access_stay_invalid_after_it_is_recreated() {
    let issuer = Issuer::new();
    let toml = format!(
        "[limits]\nguesses_per_address = 100000\nper_address_per_minute = 100000\n{}",
        issuer.as_configuration()
    );
    let gateway = Gateway::configured(&toml, &[]);
    let first = made(&gateway, "shop").await;
    let own = token(&gateway, &first).await;
    let outside = issuer.token("shop", 300);
    let export = admin(&gateway, Method::GET, "export", Value::Null).await;
    for token in [&own, &outside] {
        assert_eq!(status(&gateway, token).await, 200);
    }
    admin(&gateway, Method::DELETE, "accesses/shop", Value::Null).await;
    for token in [&own, &outside] {
        assert_eq!(status(&gateway, token).await, 401);
    }
    let second = made(&gateway, "shop").await;
    for token in [&own, &outside] {
        assert_eq!(status(&gateway, token).await, 401);
    }
    assert_eq!(asked(&gateway, &first).await.status, 401);
    assert_eq!(status(&gateway, &token(&gateway, &second).await).await, 200);
    wait_until_outside_tokens_are_accepted(&gateway, &issuer, "shop").await;

    // With its old client id, too, it is another access than the one that the token was issued for.
    admin(&gateway, Method::DELETE, "accesses/shop", Value::Null).await;
    let imported = admin(&gateway, Method::POST, "import", export.json()).await;
    assert_eq!(imported.json(), json!({"changed": 1}), "{}", imported.body);
    for token in [&own, &outside] {
        assert_eq!(status(&gateway, token).await, 401);
    }
    assert_eq!(status(&gateway, &token(&gateway, &first).await).await, 200);
}

#[tokio::test]
async fn dropping_a_secret_revokes_its_tokens_and_adding_one_revokes_none() {
    let issuer = Issuer::new();
    let gateway = Gateway::configured(&issuer.as_configuration(), &[]);
    let rotate = async |drop_old: bool| {
        let wanted = json!({ "drop_old": drop_old });
        let answer = admin(&gateway, Method::POST, "accesses/shop/rotate", wanted).await;
        client_of(&answer, 200)
    };
    let outside = issuer.token("shop", 300);
    let first = made(&gateway, "shop").await;
    let old = token(&gateway, &first).await;
    let second = rotate(false).await;
    assert_eq!(status(&gateway, &old).await, 200);
    // The first secret is evicted. A token that is issued in the same second is valid.
    let third = rotate(false).await;
    let new = token(&gateway, &second).await;
    assert_eq!(status(&gateway, &old).await, 401);
    assert_eq!(status(&gateway, &new).await, 200);
    let last = rotate(true).await;
    assert_eq!(status(&gateway, &new).await, 401);
    assert_eq!(asked(&gateway, &third).await.status, 401);
    assert_eq!(status(&gateway, &token(&gateway, &last).await).await, 200);
    // This token was not issued for any of our secrets.
    assert_eq!(status(&gateway, &outside).await, 200);
}

#[tokio::test]
async fn revoke_tokens_ends_issued_tokens_and_no_later_ones() {
    let issuer = Issuer::new();
    let toml = format!(
        "[limits]\nguesses_per_address = 100000\nper_address_per_minute = 100000\n{}",
        issuer.as_configuration()
    );
    let gateway = Gateway::configured(&toml, &[]);
    let by = made(&gateway, "shop").await;
    let other = made(&gateway, "other").await;
    let others = token(&gateway, &other).await;
    let outside = issuer.token("shop", 300);
    let no_time = issuer.token_with(&json!({"sub": "shop", "scope": "chat"}));
    for token in [&outside, &no_time] {
        assert_eq!(status(&gateway, token).await, 200);
    }
    // Several times within a second, and each time the tokens end.
    for _ in 0..3 {
        let own = token(&gateway, &by).await;
        assert_eq!(status(&gateway, &own).await, 200);
        let path = "accesses/shop/revoke-tokens";
        let ended = admin(&gateway, Method::POST, path, Value::Null).await;
        assert_eq!(ended.status, 200, "{}", ended.body);
        assert!(ended.json()["tokens_since"].is_string(), "{}", ended.body);
        assert_eq!(status(&gateway, &own).await, 401);
    }
    for token in [&outside, &no_time] {
        assert_eq!(status(&gateway, token).await, 401);
    }
    let own = token(&gateway, &by).await;
    let data = gateway.data();
    let command = Command::new(binary())
        .args(["access", "revoke-tokens", "shop", "--admin"])
        .arg(format!("http://{}", gateway.admin))
        .arg("--data")
        .arg(&data)
        .output()
        .unwrap();
    assert!(command.status.success(), "{command:?}");
    assert_eq!(status(&gateway, &own).await, 401);
    assert_eq!(status(&gateway, &token(&gateway, &by).await).await, 200);
    wait_until_outside_tokens_are_accepted(&gateway, &issuer, "shop").await;
    assert_eq!(status(&gateway, &others).await, 200);
    let path = "accesses/none/revoke-tokens";
    let nobody = admin(&gateway, Method::POST, path, Value::Null).await;
    assert_eq!(nobody.status, 404);
    let changes = admin(&gateway, Method::GET, "accesses/shop/changes", Value::Null).await;
    assert!(changes.body.contains("tokens_since"), "{}", changes.body);
    // A change of another field ends no token.
    let own = token(&gateway, &by).await;
    admin(
        &gateway,
        Method::PATCH,
        "accesses/shop",
        json!({"note": "x"}),
    )
    .await;
    assert_eq!(status(&gateway, &own).await, 200);
}

#[tokio::test]
async fn rotating_keys_with_revoke_ends_every_issued_token_permanently() {
    let gateway = Gateway::start();
    let by = made(&gateway, "shop").await;
    let rotate = async |gateway: &Gateway, body: Value| {
        let answer = admin(gateway, Method::POST, "keys/rotate", body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()["keys"].as_array().unwrap().len()
    };
    let old = token(&gateway, &by).await;
    assert_eq!(rotate(&gateway, json!({})).await, 2);
    assert_eq!(status(&gateway, &old).await, 200);
    assert_eq!(rotate(&gateway, json!({"revoke": true})).await, 1);
    assert_eq!(status(&gateway, &old).await, 401);
    let new = token(&gateway, &by).await;
    assert_eq!(status(&gateway, &new).await, 200);
    let keys = Answer::of(client().get(gateway.url("/.well-known/jwks.json"))).await;
    assert_eq!(keys.json()["keys"].as_array().unwrap().len(), 1);
    let toml = format!("[server]\npublic_url = \"http://{}\"\n", gateway.public);
    let folder = Arc::clone(&gateway.folder);
    drop(gateway);
    let again = Gateway::over(folder, &toml, &[]);
    assert_eq!(status(&again, &new).await, 200);
    assert_eq!(status(&again, &old).await, 401);
}
