//! Tests of issuers' unusable keys: they disable neither the good keys next to them nor the next set.

use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Served, b64, rsa, said, with};
use crate::harness::{Gateway, Issuer, admin, until};

fn without(key: &Value, name: &str) -> Value {
    let mut key = key.clone();
    key.as_object_mut().unwrap().remove(name);
    key
}

/// Returns keys that issuers publish and that cannot be used.
fn odd_keys() -> Vec<(&'static str, String)> {
    let (rsa, _) = rsa(KeySize::Rsa2048);
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let ec = json!({"kty": "EC", "crv": "P-256", "x": b64(x), "y": b64(y), "kid": "ec"});
    let modulus = |bytes: usize| b64(vec![0xff; bytes]);
    let padded = format!("{}==", rsa["n"].as_str().unwrap());
    let odd = vec![
        ("of 1,024 bits", with(&rsa, &json!({"n": modulus(128)}))),
        ("of 16,384 bits", with(&rsa, &json!({"n": modulus(2048)}))),
        (
            "of 100,000 bits",
            with(&rsa, &json!({"n": modulus(12_500)})),
        ),
        (
            "with x5c alone",
            json!({"kty": "RSA", "kid": "x", "x5c": ["MIIB"]}),
        ),
        ("padded", with(&rsa, &json!({"n": padded}))),
        ("off its curve", with(&ec, &json!({"y": b64([1; 32])}))),
        ("of 31 bytes", with(&ec, &json!({"x": b64(&x[..31])}))),
        (
            "shared",
            json!({"kty": "oct", "k": b64([7; 64]), "kid": "oct"}),
        ),
        ("with a number as kid", with(&rsa, &json!({"kid": 5}))),
        ("with null as kid", with(&rsa, &json!({"kid": null}))),
        (
            "for signing only",
            with(&rsa, &json!({"key_ops": ["sign"]})),
        ),
        ("for encryption", with(&rsa, &json!({"use": "enc"}))),
        (
            "of an unknown type",
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}),
        ),
        ("of an unknown curve", with(&ec, &json!({"crv": "P-999"}))),
        (
            "of Ed448",
            json!({"kty": "OKP", "crv": "Ed448", "x": b64([1; 57]), "alg": "Ed448"}),
        ),
        (
            "of an unknown algorithm",
            with(&rsa, &json!({"alg": "XX256"})),
        ),
        ("of no type", without(&rsa, "kty")),
        ("of type null", with(&rsa, &json!({"kty": null}))),
        ("with null as alg", with(&rsa, &json!({"alg": null}))),
        ("with null as use", with(&rsa, &json!({"use": null}))),
        ("without e", without(&rsa, "e")),
        ("with null as n", with(&rsa, &json!({"n": null}))),
        ("that is empty", json!({})),
        ("that is null", Value::Null),
        ("that is text", json!("key")),
        ("with an even exponent", with(&rsa, &json!({"e": "Ag"}))),
    ];
    let odd = odd.into_iter().map(|(what, key)| (what, key.to_string()));
    odd.chain(unreadable_keys(&rsa)).collect()
}

/// Returns texts that only some JSON parsers accept.
fn unreadable_keys(key: &Value) -> impl Iterator<Item = (&'static str, String)> {
    let text = key.to_string();
    let with = move |member: &str| text.replacen('{', &format!("{{{member},"), 1);
    let nested = format!("\"x\":{}{}", "[".repeat(200), "]".repeat(200));
    [
        ("with a doubled member", with("\"kty\":\"RSA\"")),
        ("with too large a number", with("\"iat\":1e400")),
        ("with half a character", with("\"x5t\":\"\\ud800\"")),
        ("that is nested", with(&nested)),
    ]
    .into_iter()
}

/// Returns the JWKS document of these keys.
fn jwks_of(keys: &[&str]) -> String {
    format!("{{\"keys\":[{}]}}", keys.join(","))
}

#[tokio::test]
async fn an_unusable_key_alone_does_not_prevent_the_next_key_set_from_loading() {
    let issuer = Issuer::new();
    let mut toml = "[limits]\nguesses_per_address = 100000\n".to_owned();
    let mut all = Vec::new();
    for (n, (what, key)) in odd_keys().into_iter().enumerate() {
        let served = Served::new(200, jwks_of(&[&key])).await;
        let name = format!("https://issuer-{n}.example");
        let block = served.as_configuration(&issuer);
        toml += &block.replace(crate::harness::ISSUER, &name);
        // The token was issued before the keys were fetched, so its key would have to be among them.
        let claims = json!({"iss": name, "sub": "demo", "scope": "chat", "iat": 1});
        all.push((what, served, issuer.token_with(&claims)));
    }
    let gateway = Gateway::configured(&toml, &[]);
    for (what, _, token) in &all {
        assert_eq!(
            said(&gateway, token).await,
            "INCORRECT_TOKEN",
            "a key {what}"
        );
    }
    for (_, served, _) in &all {
        served.says(200, issuer.jwks());
    }
    for (what, _, token) in &all {
        until(what, async || said(&gateway, token).await == "SUCCESS").await;
    }
}

/// Returns the odd keys, and one with the same key id as this good key.
fn odd_keys_beside(good: &Value) -> Vec<(&'static str, String)> {
    let (twin, _) = rsa(KeySize::Rsa2048);
    let mut odd = odd_keys();
    odd.push((
        "under the kid of the good one",
        with(&twin, &json!({"kid": good["kid"]})).to_string(),
    ));
    odd
}

#[tokio::test]
async fn unusable_keys_next_to_a_good_key_do_not_disable_it() {
    let issuer = Issuer::new();
    let good: Value = serde_json::from_str(&issuer.jwks()).unwrap();
    let good = &good["keys"][0];
    let text = good.to_string();
    let file = tempfile::tempdir().unwrap();
    let (mut toml, mut sets) = (String::new(), Vec::new());
    // Each set belongs to its own issuer and is read from a file at the start.
    for (what, key) in odd_keys_beside(good) {
        let set = [jwks_of(&[&key, &text]), jwks_of(&[&text, &key])];
        let marked = format!("\u{feff}{}", set[0]);
        for keys in set.into_iter().chain([marked]) {
            let path = file.path().join(format!("{}.json", sets.len()));
            std::fs::write(&path, keys).unwrap();
            let name = format!("https://issuer-{}.example", sets.len());
            let block = issuer.as_configuration();
            let line = block.lines().find(|line| line.starts_with("jwks")).unwrap();
            let block = block.replace(line, &format!("jwks = {path:?}"));
            toml += &block.replace(crate::harness::ISSUER, &name);
            let claims = json!({"iss": name, "sub": "demo", "scope": "chat"});
            sets.push((what, issuer.token_with(&claims)));
        }
    }
    let gateway = Gateway::configured(&toml, &[]);
    for (what, token) in &sets {
        assert_eq!(said(&gateway, token).await, "SUCCESS", "a key {what}");
    }
    assert!(sets.len() >= 30, "{}", sets.len());
    println!("odd keys: {} sets from files", sets.len());
}

#[tokio::test]
async fn a_set_of_unusable_keys_is_reported_and_the_next_good_key_works() {
    let issuer = Issuer::new();
    let good: Value = serde_json::from_str(&issuer.jwks()).unwrap();
    let odd = odd_keys_beside(&good["keys"][0]);
    let served = Served::new(200, issuer.jwks()).await;
    let toml = format!(
        "[limits]\nguesses_per_address = 100000\n{}",
        served.as_configuration(&issuer)
    );
    let token = issuer.token("demo", 300);
    // One gateway gets all sets, as from an issuer that rotates. The last set contains a new key.
    let gateway = Gateway::configured(&toml, &[]);
    assert_eq!(said(&gateway, &token).await, "SUCCESS");
    let all: Vec<&str> = odd.iter().map(|(_, key)| key.as_str()).collect();
    served.says(200, jwks_of(&all));
    until("the key was withdrawn and still serves", async || {
        said(&gateway, &token).await == "INCORRECT_TOKEN"
    })
    .await;
    let status = admin(&gateway, Method::GET, "status", Value::Null)
        .await
        .json();
    let reported = &status["issuers"][0];
    assert!(
        // A key with null as kid, alg or use counts as a key without that member.
        reported["keys_passed_over"].as_u64().unwrap() as usize >= odd_keys().len() - 4,
        "{reported}"
    );
    assert!(
        reported["passed_over"].to_string().contains("2048"),
        "{reported}"
    );
    gateway.process.wait_for("a line", |line| {
        line.contains("some keys of an issuer can't be used")
    });
    let next = Issuer::new();
    let fresh: Value = serde_json::from_str(&next.jwks()).unwrap();
    let fresh = fresh["keys"][0].to_string();
    let mut keys = all.clone();
    keys.insert(keys.len() / 2, &fresh);
    served.says(200, jwks_of(&keys));
    until("the next key does not serve", async || {
        said(&gateway, &next.token("demo", 300)).await == "SUCCESS"
    })
    .await;
    println!("odd keys: {} through two rotations", odd.len());
}
