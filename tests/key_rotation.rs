//! Tests of outside issuers that change their keys: a good token that cannot be judged yet does not count as wrong, and forged
//! tokens gain nothing by that.

use std::time::{Duration, Instant, UNIX_EPOCH};

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Gateway, Issuer, admin, until};
use crate::outside_issuers::{READ, SILENT, Served, asked, said};

/// Returns a token that is issued now. Each token is different, so that none is known from before.
fn fresh(issuer: &Issuer, number: usize) -> String {
    let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
    issuer
        .token_with(&json!({"sub": "demo", "scope": "chat", "iat": now, "jti": number.to_string()}))
}

async fn assert_not_judged_yet(gateway: &Gateway, issuer: &Issuer) {
    for number in 0..6 {
        let answer = asked(gateway, &fresh(issuer, number), READ).await;
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert_eq!(answer.json()["error"], "OVERLOADED");
        assert_eq!(answer.header("retry-after"), "10");
    }
}

#[tokio::test]
async fn an_unknown_key_counts_as_no_guess_until_the_keys_are_fetched() {
    let (old, new) = (Issuer::new(), Issuer::new());
    let served = Served::new(200, old.jwks()).await;
    let toml = format!(
        "[limits]\nguesses_per_address = 3\n{}",
        served.as_configuration(&old)
    );
    let gateway = Gateway::configured(&toml, &[]);
    assert_eq!(said(&gateway, &fresh(&old, 0)).await, "SUCCESS");
    served.says(503, String::new());
    until("the failure is not shown", async || {
        let status = admin(&gateway, Method::GET, "status", &Value::Null).await;
        status.json()["issuers"][0]["error"].is_string()
    })
    .await;
    assert_not_judged_yet(&gateway, &new).await;
    assert_eq!(said(&gateway, &fresh(&old, 1)).await, "SUCCESS");
    // A token that a known key has not signed is wrong as before and counts as a guess. A token that cannot be judged restores no
    // guesses.
    let forged = |number| {
        let token = fresh(&old, number);
        let (message, _) = token.rsplit_once('.').unwrap();
        format!("{message}.{}", "A".repeat(86))
    };
    for number in 10..13 {
        assert_eq!(said(&gateway, &forged(number)).await, "INCORRECT_TOKEN");
    }
    assert_eq!(said(&gateway, &forged(13)).await, "TOO_MANY_FAILURES");
    assert_not_judged_yet(&gateway, &new).await;
    assert_eq!(said(&gateway, &forged(14)).await, "TOO_MANY_FAILURES");
    served.says(200, new.jwks());
    until("the new key does not come", async || {
        said(&gateway, &fresh(&new, 0)).await == "SUCCESS"
    })
    .await;
    // The old key is withdrawn. A token that was issued before the keys were fetched is wrong.
    let withdrawn = said(&gateway, &old.token("demo", 300)).await;
    assert_eq!(withdrawn, "TOO_MANY_FAILURES");
}

#[tokio::test]
async fn tokens_with_made_up_keys_are_rate_limited_by_address() {
    let issuer = Issuer::new();
    let served = Served::new(200, issuer.jwks()).await;
    let toml = format!(
        "[limits]\nper_address_per_minute = 20\n{}",
        served.as_configuration(&issuer)
    );
    let gateway = Gateway::configured(&toml, &[]);
    let mut refused = 0;
    for number in 0..40 {
        let made_up = fresh(&Issuer::new(), number);
        refused += usize::from(said(&gateway, &made_up).await == "RATE_LIMITED");
    }
    assert!(refused >= 10, "{refused} of 40");
}

#[tokio::test]
async fn a_call_waits_for_issuer_keys_at_most_its_request_timeout() {
    let issuer = Issuer::new();
    let served = Served::new(200, issuer.jwks()).await;
    let toml = format!(
        "[limits]\nrequest_timeout = \"2s\"\nguesses_per_address = 1000\n{}",
        served.as_configuration(&issuer)
    );
    let gateway = Gateway::configured(&toml, &[]);
    assert_eq!(said(&gateway, &fresh(&issuer, 0)).await, "SUCCESS");
    served.says(SILENT, String::new());
    let (new, mut number) = (Issuer::new(), 0);
    until("no call waits for the keys", async || {
        number += 1;
        let began = Instant::now();
        let code = said(&gateway, &fresh(&new, number)).await;
        let waited = began.elapsed();
        // A fetch of keys times out after 15 seconds.
        assert!(waited < Duration::from_secs(10), "{waited:?}");
        waited > Duration::from_millis(1500) && code == "OVERLOADED"
    })
    .await;
}

#[tokio::test]
async fn tokens_without_a_key_id_are_accepted_during_a_key_rotation() {
    let (old, new) = (Issuer::new(), Issuer::new());
    let bare = |issuer: &Issuer| {
        issuer.token_of(
            &json!({"kid": null}),
            &json!({"sub": "demo", "scope": "chat"}),
        )
    };
    let served = Served::new(200, old.jwks()).await;
    let gateway = Gateway::configured(&served.as_configuration(&old), &[]);
    assert_eq!(said(&gateway, &bare(&old)).await, "SUCCESS");
    let key = |issuer: &Issuer| -> Value {
        let set: Value = serde_json::from_str(&issuer.jwks()).unwrap();
        set["keys"][0].clone()
    };
    served.says(200, json!({"keys": [key(&old), key(&new)]}).to_string());
    until("the new key does not come", async || {
        said(&gateway, &bare(&new)).await == "SUCCESS"
    })
    .await;
    assert_eq!(said(&gateway, &bare(&old)).await, "SUCCESS");
    served.says(200, new.jwks());
    until("the old key stays", async || {
        said(&gateway, &bare(&old)).await != "SUCCESS"
    })
    .await;
    assert_eq!(said(&gateway, &bare(&new)).await, "SUCCESS");
}
