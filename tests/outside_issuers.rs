//! Tests of outside issuers: the accesses that each may name, the keys that work, and calls while the keys are unavailable.

mod odd_keys;

use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::harness::{Answer, Gateway, Issuer, Process, admin, client, envelope, made, until};

pub const READ: &str = "class=chat&method=getchatchannels";

fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

pub async fn asked(gateway: &Gateway, token: &str, call: &str) -> Answer {
    let url = gateway.url(&format!("/api/jwt/?{call}"));
    Answer::of(client().get(url).bearer_auth(token)).await
}

pub async fn said(gateway: &Gateway, token: &str) -> String {
    let said = asked(gateway, token, READ).await.json();
    said["error"].as_str().unwrap_or("SUCCESS").to_owned()
}

// === accesses that each issuer may name ===

#[tokio::test]
async fn an_issuer_can_name_only_the_accesses_of_its_list() {
    let issuers = [
        ("https://none.example", ""),
        ("https://whole.example", "accesses = [\"shop\"]"),
        (
            "https://beginning.example",
            "accesses = [\"partner-*\", \"other\"]",
        ),
        ("https://all.example", "accesses = [\"*\"]"),
    ];
    let names = [
        "shop",
        "shop2",
        "partner-a",
        "partner-b",
        "partner",
        "other",
    ];
    let allowed = [
        [false; 6],
        [true, false, false, false, false, false],
        [false, false, true, true, false, true],
        [true; 6],
    ];
    let issuer = Issuer::new();
    let mut toml = "[limits]\nguesses_per_address = 1000\n".to_owned();
    for (name, accesses) in issuers {
        let block = issuer
            .as_configuration()
            .replace("accesses = [\"*\"]", accesses);
        toml += &block.replace(crate::harness::ISSUER, name);
    }
    let gateway = Gateway::configured(&toml, &[]);
    for name in names {
        made(&gateway, json!({"name": name, "allow": ["any"]})).await;
    }
    let mut cells = 0;
    for (row, (iss, _)) in issuers.iter().enumerate() {
        for (column, name) in names.iter().enumerate() {
            let token = issuer.token_with(&json!({"iss": iss, "sub": name, "scope": "chat"}));
            let expected = if allowed[row][column] {
                "SUCCESS"
            } else {
                "INCORRECT_TOKEN"
            };
            assert_eq!(said(&gateway, &token).await, expected, "{iss} names {name}");
            let soap = client().post(gateway.url("/api/soap/")).bearer_auth(&token);
            let soap = soap.header("Content-Type", "text/xml");
            let soap = Answer::of(soap.body(envelope("getchatchannels", &[]))).await;
            let expected = if allowed[row][column] { 200 } else { 401 };
            assert_eq!(soap.status, expected, "{iss} names {name} by SOAP");
            cells += 1;
        }
    }
    assert_eq!(cells, 24);
    gateway.process.wait_for("a warning", |line| {
        line.contains("https://none.example") && line.contains("accesses = ")
    });
}

#[test]
fn check_warns_about_an_issuer_without_accesses_and_rejects_invalid_names() {
    let issuer = Issuer::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chatgate.toml");
    let check = |accesses: &str| {
        let toml = issuer
            .as_configuration()
            .replace("accesses = [\"*\"]", accesses);
        std::fs::write(&file, toml).unwrap();
        let (code, lines) =
            Process::start(&["check", "--config", file.to_str().unwrap()], &[]).ended();
        (code, lines.join("\n"))
    };
    assert_eq!(
        check("accesses = [\"a-*\"]"),
        (Some(0), "The configuration is valid.".to_owned())
    );
    let (code, reported) = check("");
    assert_eq!(code, Some(0), "{reported}");
    assert!(
        reported.contains("warning: all tokens of the issuer") && reported.contains("partner-*"),
        "{reported}"
    );
    let (code, reported) = check("accesses = [\"a*b\"]");
    assert_eq!(code, Some(64), "{reported}");
    assert!(reported.contains("jwt.issuers.0.accesses"), "{reported}");
}

#[tokio::test]
async fn a_token_grants_only_the_methods_of_its_scope_claims() {
    let issuer = Issuer::new();
    let plain = issuer.as_configuration();
    let generous = plain.replace(crate::harness::ISSUER, "https://generous.example")
        + "default_scope = \"getchatchannels\"\nscope_claims = [\"permissions\"]\n";
    let gateway = Gateway::configured(&format!("{plain}{generous}"), &[]);
    let code = async |claims: Value| {
        let mut all = json!({"sub": "demo"});
        all.as_object_mut()
            .unwrap()
            .extend(claims.as_object().unwrap().clone());
        let answer = asked(&gateway, &issuer.token_with(&all), READ).await;
        let said = answer.json();
        let code = said["error"].as_str().unwrap_or("SUCCESS").to_owned();
        assert_eq!(code == "OPERATION_NOT_ALLOWED", answer.status == 403);
        code
    };
    for (claims, expected) in [
        (json!({}), "OPERATION_NOT_ALLOWED"),
        (json!({"scope": "chat"}), "SUCCESS"),
        (json!({"scp": "getchatchannels"}), "SUCCESS"),
        (json!({"scp": ["getchatchannels"]}), "SUCCESS"),
        (json!({"roles": ["chat"]}), "SUCCESS"),
        (json!({"roles": ["getchats"]}), "OPERATION_NOT_ALLOWED"),
        (
            json!({"scope": "openid", "roles": ["chat"]}),
            "OPERATION_NOT_ALLOWED",
        ),
        (json!({"groups": ["chat"]}), "OPERATION_NOT_ALLOWED"),
        (json!({"scope": 7}), "INCORRECT_TOKEN"),
        (json!({"iss": "https://generous.example"}), "SUCCESS"),
        (
            json!({"iss": "https://generous.example", "permissions": []}),
            "OPERATION_NOT_ALLOWED",
        ),
    ] {
        assert_eq!(code(claims.clone()).await, expected, "{claims}");
    }
}

/// An issuer's document, served over HTTP. With the status [`SILENT`] no request gets an answer.
pub struct Served {
    document: Arc<Mutex<(u16, String)>>,
    address: std::net::SocketAddr,
}

/// The status of an endpoint that accepts connections and does not answer.
pub const SILENT: u16 = 0;

impl Served {
    pub async fn new(status: u16, document: String) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let document = Arc::new(Mutex::new((status, document)));
        let shared = Arc::clone(&document);
        tokio::spawn(async move {
            let mut unanswered = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                crate::sends::read_request(&mut stream).await;
                let (status, body) = shared.lock().unwrap().clone();
                if status == SILENT {
                    unanswered.push(stream);
                    continue;
                }
                let head = format!(
                    "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            }
        });
        Served { document, address }
    }

    pub fn says(&self, status: u16, document: String) {
        *self.document.lock().unwrap() = (status, document);
    }

    /// Returns the configuration of the harness's issuer, with its keys served here.
    pub fn as_configuration(&self, issuer: &Issuer) -> String {
        let toml = issuer.as_configuration();
        let line = toml.lines().find(|line| line.starts_with("jwks")).unwrap();
        let fetched = format!(
            "jwks = \"http://{}/jwks.json\"\nrefresh = \"1s\"",
            self.address
        );
        toml.replace(line, &fetched)
    }
}

/// Returns a JWK for RS256 and the key pair that signs.
fn rsa(size: KeySize) -> (Value, RsaKeyPair) {
    let pair = RsaKeyPair::generate(size).unwrap();
    let public = pair.public_key();
    let n = b64(public.modulus().big_endian_without_leading_zero());
    let e = b64(public.exponent().big_endian_without_leading_zero());
    (json!({"kty": "RSA", "n": n, "e": e, "kid": "rsa"}), pair)
}

fn with(key: &Value, changes: &Value) -> Value {
    let mut key = key.clone();
    for (name, value) in changes.as_object().unwrap() {
        key[name] = value.clone();
    }
    key
}

#[tokio::test]
async fn rs256_tokens_and_the_algorithm_name_ed25519_are_accepted() {
    let (jwk, pair) = rsa(KeySize::Rsa2048);
    let issuer = Issuer::new();
    let ed: Value = serde_json::from_str(&issuer.jwks()).unwrap();
    let ed = with(&ed["keys"][0], &json!({"alg": "Ed25519"}));
    let served = Served::new(200, json!({"keys": [jwk, ed]}).to_string()).await;
    let toml = served.as_configuration(&issuer) + "algorithms = [\"RS256\", \"Ed25519\"]\n";
    let gateway = Gateway::configured(&toml, &[]);
    assert_eq!(said(&gateway, &issuer.token("demo", 300)).await, "SUCCESS");
    let newer = issuer.token_of(
        &json!({"alg": "Ed25519"}),
        &json!({"sub": "demo", "scope": "chat"}),
    );
    assert_eq!(said(&gateway, &newer).await, "SUCCESS");
    let older = issuer.token_of(
        &json!({"alg": "Ed448"}),
        &json!({"sub": "demo", "scope": "chat"}),
    );
    assert_eq!(said(&gateway, &older).await, "INCORRECT_TOKEN");
    let claims = Issuer::claims(&json!({"sub": "demo", "scope": "chat"}));
    let header = json!({"alg": "RS256", "kid": "rsa"});
    let message = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        message.as_bytes(),
        &mut signature,
    )
    .unwrap();
    assert_eq!(
        said(&gateway, &format!("{message}.{}", b64(signature))).await,
        "SUCCESS"
    );
}

// === an unavailable issuer ===

#[tokio::test]
async fn tokens_that_cannot_be_judged_yet_get_503_and_count_as_no_guess() {
    let issuer = Issuer::new();
    let body = format!("<html>\u{202e}\u{1b}[2J{}</html>", "away ".repeat(40_000));
    let served = Served::new(503, body).await;
    let toml = format!(
        "[limits]\nguesses_per_address = 3\n{}",
        served.as_configuration(&issuer)
    );
    let gateway = Gateway::configured(&toml, &[]);
    let token = issuer.token("demo", 300);
    for _ in 0..10 {
        let answer = asked(&gateway, &token, READ).await;
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert_eq!(answer.json()["error"], "OVERLOADED");
        assert!(!answer.header("retry-after").is_empty());
    }
    // The gateway must not repeat the text of the issuer's server.
    let line = gateway.process.wait_for("a line", |line| {
        line.contains("the keys of an issuer could not be fetched")
    });
    assert!(line.len() < 1000 && line.contains("status 503"), "{line}");
    assert!(
        !line.contains('\u{202e}') && !line.contains("u001b"),
        "{line}"
    );
    let status = admin(&gateway, Method::GET, "status", Value::Null)
        .await
        .json();
    assert!(
        status["issuers"][0]["error"]
            .as_str()
            .unwrap()
            .contains("503"),
        "{status}"
    );
    // A token of an unknown issuer, or one that is wrong whoever signed it, is refused as usual.
    let stranger = issuer.token_with(&json!({"iss": "https://x.example", "sub": "demo"}));
    let elsewhere = issuer.token_with(&json!({"aud": "elsewhere", "sub": "demo"}));
    for wrong in [&stranger, &elsewhere, &stranger] {
        assert_eq!(said(&gateway, wrong).await, "INCORRECT_TOKEN");
    }
    assert_eq!(said(&gateway, &stranger).await, "TOO_MANY_FAILURES");
    // The keys are available again and are fetched within the time after which callers were told to retry.
    served.says(200, issuer.jwks());
    until("the keys were not fetched again", async || {
        said(&gateway, &token).await == "SUCCESS"
    })
    .await;
    // The keys are unavailable once more; the fetched keys stay valid.
    served.says(503, String::new());
    let before = admin(&gateway, Method::GET, "status", Value::Null)
        .await
        .json();
    assert_eq!(before["issuers"][0]["keys"], 1, "{before}");
    until("the failure is not shown", async || {
        let status = admin(&gateway, Method::GET, "status", Value::Null)
            .await
            .json();
        status["issuers"][0]["error"].is_string()
    })
    .await;
    assert_eq!(said(&gateway, &token).await, "SUCCESS");
}
