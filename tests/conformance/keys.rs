//! Keys that must not verify anything: the gateway refuses to start with them, and `chatgate jws-verify` refuses them.

use std::path::Path;

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::forge::b64;
use super::{chatgate, verdict};
use crate::harness::Process;

/// RFC 7517 A.1 and RFC 8037 A.1.
const RSA_N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
const ED_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn rsa(changes: &Value) -> Value {
    changed(json!({ "kty": "RSA", "n": RSA_N, "e": "AQAB" }), changes)
}

fn ed(changes: &Value) -> Value {
    changed(
        json!({ "kty": "OKP", "crv": "Ed25519", "x": ED_X }),
        changes,
    )
}

fn oct(bytes: usize) -> Value {
    json!({ "kty": "oct", "alg": "HS256", "k": b64(vec![7; bytes]) })
}

fn changed(mut key: Value, changes: &Value) -> Value {
    key.as_object_mut()
        .unwrap()
        .extend(changes.as_object().unwrap().clone());
    key
}

/// Returns an odd number with this number of bits.
fn modulus(bits: usize) -> String {
    let mut bytes = vec![0xff; bits.div_ceil(8)];
    bytes[0] >>= (8 - bits % 8) % 8;
    b64(bytes)
}

/// Returns keys that an issuer's file must not contain as its only key.
fn bad_keys() -> Vec<(&'static str, Value)> {
    vec![
        ("for encrypting", rsa(&json!({ "use": "enc" }))),
        ("for a use of no standard", ed(&json!({ "use": "SIG" }))),
        ("for a use that is no text", ed(&json!({ "use": ["sig"] }))),
        ("only for signing", rsa(&json!({ "key_ops": ["sign"] }))),
        (
            "for encrypting and wrapping",
            rsa(&json!({ "key_ops": ["encrypt", "wrapKey"] })),
        ),
        ("for nothing", ed(&json!({ "key_ops": [] }))),
        (
            "for operations that are no list",
            ed(&json!({ "key_ops": "verify" })),
        ),
        (
            "right in use and wrong in operations",
            ed(&json!({ "use": "sig", "key_ops": ["deriveKey"] })),
        ),
        (
            "for an algorithm that is not allowed",
            rsa(&json!({ "alg": "RS512" })),
        ),
        (
            "for an encrypting algorithm",
            rsa(&json!({ "alg": "RSA-OAEP" })),
        ),
        ("for no algorithm", ed(&json!({ "alg": "none" }))),
        ("for an HMAC", rsa(&json!({ "alg": "HS256" }))),
        ("of 1024 bits", rsa(&json!({ "n": modulus(1024) }))),
        ("of 2047 bits", rsa(&json!({ "n": modulus(2047) }))),
        ("of 16384 bits", rsa(&json!({ "n": modulus(16384) }))),
        ("with the exponent 1", rsa(&json!({ "e": "AQ" }))),
        ("with an even exponent", rsa(&json!({ "e": "Ag" }))),
        ("without a modulus", json!({ "kty": "RSA", "e": "AQAB" })),
        ("of 31 bytes", ed(&json!({ "x": b64([9; 31]) }))),
        ("in padded base64", ed(&json!({ "x": format!("{ED_X}=") }))),
        (
            "off its curve",
            json!({ "kty": "EC", "crv": "P-256", "x": b64([1; 32]), "y": b64([1; 32]) }),
        ),
        (
            "on a curve that is not taken",
            json!({ "kty": "EC", "crv": "secp256k1", "x": b64([1; 32]), "y": b64([1; 32]) }),
        ),
        ("a shared secret, short", oct(16)),
        ("a shared secret, long", oct(64)),
        ("without a type", json!({ "crv": "Ed25519", "x": ED_X })),
    ]
}

/// Starts a gateway with this file as its issuer's keys. Returns its output if it ended, or `None` if it came up.
fn refusal(folder: &Path, jwks: &str) -> Option<String> {
    std::fs::write(folder.join("jwks.json"), jwks).unwrap();
    let jwks = folder.join("jwks.json");
    let toml = format!(
        "[[jwt.issuers]]\nissuer = \"https://issuer.example\"\njwks = {jwks:?}\naudience = [\"a\"]\naccesses = [\"*\"]\n\
         algorithms = [\"RS256\", \"EdDSA\", \"ES256\"]\n"
    );
    let config = folder.join("chatgate.toml");
    std::fs::write(&config, toml).unwrap();
    let (config, data) = (config.to_str().unwrap(), folder.join("data"));
    let ports = ["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let place = ["--config", config, "--data", data.to_str().unwrap()];
    let process = Process::start(&[place, ports].concat(), &[]);
    let reported = process.wait_for("a word", |line| {
        line.contains("jwt.issuers") || line.starts_with("Chatgate listens on")
    });
    if reported.starts_with("Chatgate") {
        return None;
    }
    let (code, _) = process.ended();
    assert_eq!(code, Some(64), "{reported}");
    assert!(!data.exists(), "a folder was made before the refusal");
    Some(reported)
}

#[test]
fn a_key_set_without_a_usable_key_prevents_the_start() {
    let keys = bad_keys();
    let wrong = super::each(&keys, |_, (what, key)| {
        let folder = tempfile::tempdir().unwrap();
        let alone = json!({ "keys": [key] }).to_string();
        match refusal(folder.path(), &alone) {
            // The output must not contain the secret or the modulus.
            Some(reported) => {
                (key["k"].as_str().is_some_and(|k| reported.contains(k))).then_some(reported)
            }
            None => Some(format!("started with a key {what}")),
        }
    });
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Next to a good key a bad one is skipped.
    for key in [oct(64), rsa(&json!({ "n": modulus(1024) }))] {
        let folder = tempfile::tempdir().unwrap();
        let both = json!({ "keys": [ed(&json!({})), key] }).to_string();
        assert_eq!(refusal(folder.path(), &both), None);
    }
    let doubled = format!(
        r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{ED_X}","use":"enc","use":"sig"}}]}}"#
    );
    for broken in [&doubled, r#"{"keys":[]}"#, "{}", "[]", ""] {
        assert!(
            refusal(tempfile::tempdir().unwrap().path(), broken).is_some(),
            "{broken}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let good = json!({ "keys": [ed(&json!({ "use": "sig", "key_ops": ["verify"], "alg": "EdDSA" })), rsa(&json!({}))] });
    assert_eq!(refusal(folder.path(), &good.to_string()), None);
    println!(
        "keys: {} refused at start, 2 good ones taken",
        keys.len() + 2 + 5
    );
}

#[test]
fn an_hmac_key_that_is_short_or_for_another_use_verifies_no_signature() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.json");
    let judge = |bytes: usize, alg: &str, changes: Value| {
        let (kind, secret) = match alg {
            "HS256" => (hmac::HMAC_SHA256, vec![7; bytes]),
            "HS384" => (hmac::HMAC_SHA384, vec![7; bytes]),
            _ => (hmac::HMAC_SHA512, vec![7; bytes]),
        };
        let key = json!({ "kty": "oct", "k": b64(&secret) });
        std::fs::write(&file, changed(key, &changes).to_string()).unwrap();
        let signed = format!("{}.{}", b64(json!({ "alg": alg }).to_string()), b64("{}"));
        let tag = hmac::sign(&hmac::Key::new(kind, &secret), signed.as_bytes());
        let token = format!("{signed}.{}", b64(tag));
        let command = [
            "jws-verify",
            "--jwk",
            file.to_str().unwrap(),
            "--alg",
            alg,
            &token,
        ];
        verdict(&chatgate(&command)).unwrap()
    };
    for (bytes, alg) in [(32, "HS256"), (48, "HS384"), (64, "HS512")] {
        assert!(judge(bytes, alg, json!({})));
        assert!(judge(
            bytes,
            alg,
            json!({ "use": "sig", "key_ops": ["verify", "sign"], "alg": alg })
        ));
        assert!(!judge(bytes - 1, alg, json!({})), "{alg} with a short key");
        assert!(!judge(bytes, alg, json!({ "use": "enc" })));
        assert!(!judge(bytes, alg, json!({ "key_ops": ["sign"] })));
        assert!(!judge(bytes, alg, json!({ "alg": "A256GCM" })));
    }
}
