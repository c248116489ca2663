//! Tests with published signatures.

use serde_json::Value;

use super::skipped::skipped;
use crate::verify_jws;

/// Runs the wycheproof subset. Each group names its key, as a public key if the key has a public half.
#[test]
fn the_wycheproof_jws_vectors_are_judged_correctly() {
    let Some(folder) = std::env::var_os("CHATGATE_VECTORS") else {
        skipped("CHATGATE_VECTORS is not set");
        return;
    };
    let path = std::path::Path::new(&folder).join("jws.json");
    let suite: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut wrong = Vec::new();
    for group in suite["testGroups"].as_array().unwrap() {
        let key = group.get("public").unwrap_or(&group["private"]);
        let alg = key["alg"].as_str().unwrap_or("RS256");
        for test in group["tests"].as_array().unwrap() {
            let result = verify_jws(&key.to_string(), alg, test["jws"].as_str().unwrap());
            if result.is_ok() != (test["result"] == "valid") {
                wrong.push(format!("{} {}: {result:?}", test["tcId"], test["comment"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn verify_jws_accepts_only_hs256_hmac_keys_of_32_bytes_or_more() {
    use aws_lc_rs::hmac;
    let check = |bytes: usize, alg: &str, extra: &str| {
        let secret = vec![7; bytes];
        let encoded = super::forge::b64(&secret);
        let jwk = format!(r#"{{"kty":"oct","k":"{encoded}"{extra}}}"#);
        let signed = format!("{}.", super::forge::b64(format!(r#"{{"alg":"{alg}"}}"#)));
        let tag = hmac::sign(
            &hmac::Key::new(hmac::HMAC_SHA256, &secret),
            signed.as_bytes(),
        );
        verify_jws(&jwk, alg, &format!("{signed}.{}", super::forge::b64(tag))).is_ok()
    };
    assert!(check(32, "HS256", ""));
    assert!(!check(31, "HS256", ""));
    assert!(!check(0, "HS256", ""));
    assert!(!check(32, "HS384", ""));
    assert!(!check(32, "none", ""));
    assert!(!check(32, "HS256", r#","use":"enc""#));
    assert!(!check(32, "HS256", r#","key_ops":["sign"]"#));
    assert!(!check(32, "HS256", r#","alg":"HS512""#));
}
