//! Tests of generating, publishing and reading keys.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::forge::*;
use crate::jwks::thumbprint;
use crate::*;

/// The public key of RFC 8037 A.1.
const ED_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

const RSA_N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

#[test]
fn key_thumbprints_match_the_examples_of_the_standards() {
    let jwk = json!({ "kty": "RSA", "n": RSA_N, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29" });
    assert_eq!(
        thumbprint(jwk.as_object().unwrap(), &["e", "kty", "n"]),
        "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    );
    // The private key of RFC 8037 A.1 in the PKCS#8 wrapping that openssl writes.
    let seed = URL_SAFE_NO_PAD
        .decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
        .unwrap();
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend(seed);
    let key = SigningKey::from_pkcs8(Algorithm::EdDsa, &der).unwrap();
    assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!(key.public_jwk()["x"], ED_X);
}

#[test]
fn the_ed25519_signature_example_of_rfc_8037_verifies() {
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": ED_X }).to_string();
    let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    assert_eq!(verify_jws(&jwk, "EdDSA", token), Ok(()));
    assert!(verify_jws(&jwk, "RS256", token).is_err());
    assert!(verify_jws(&jwk, "EdDSA", &token.replace("hgyY", "hgyZ")).is_err());
}

#[test]
fn a_malformed_private_key_or_one_of_another_algorithm_is_rejected() {
    for algorithm in Algorithm::ALL {
        let is_own = matches!(algorithm, Algorithm::EdDsa | Algorithm::Rs256);
        assert_eq!(SigningKey::generate_pkcs8(algorithm).is_ok(), is_own);
    }
    let der = SigningKey::generate_pkcs8(Algorithm::EdDsa).unwrap();
    assert!(SigningKey::from_pkcs8(Algorithm::Rs256, &der).is_err());
    assert!(SigningKey::from_pkcs8(Algorithm::Ps256, &der).is_err());
    assert!(SigningKey::from_pkcs8(Algorithm::EdDsa, &der[..40]).is_err());
    assert!(SigningKey::from_pkcs8(Algorithm::EdDsa, b"").is_err());
    let again = SigningKey::from_pkcs8(Algorithm::EdDsa, &der).unwrap();
    let shown = format!("{again:?} {:?}", again.verifying_key());
    assert!(
        shown.contains(again.kid()) && shown.contains("redacted"),
        "{shown}"
    );
}

#[test]
fn the_published_jwks_contains_only_public_key_parts_and_can_be_parsed() {
    let text = jwks(&[ed(), rsa()]);
    let set: Value = serde_json::from_str(&text).unwrap();
    let names = |key: &Value| key.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let keys = set["keys"].as_array().unwrap();
    assert_eq!(names(&keys[0]), ["alg", "crv", "kid", "kty", "use", "x"]);
    assert_eq!(names(&keys[1]), ["alg", "e", "kid", "kty", "n", "use"]);
    let read = parse_jwks(&text, &Algorithm::ALL).unwrap().keys;
    let kids: Vec<_> = read.iter().map(|key| key.kid.as_deref().unwrap()).collect();
    assert_eq!(kids, [ed().kid(), rsa().kid()]);
    assert_eq!(jwks(&[]), r#"{"keys":[]}"#);
}

#[track_caller]
fn set(keys: Value) -> Result<Vec<(Option<String>, &'static str)>, KeyError> {
    let text = json!({ "keys": keys }).to_string();
    let set = parse_jwks(
        &text,
        &[Algorithm::Rs256, Algorithm::Ps256, Algorithm::EdDsa],
    )?;
    let count = keys.as_array().unwrap().len();
    let used: std::collections::BTreeSet<_> = set.keys.iter().map(|key| &key.kid).collect();
    assert!(set.skipped.len() + used.len() <= count);
    Ok(set
        .keys
        .into_iter()
        .map(|key| (key.kid, key.algorithm.name()))
        .collect())
}

fn ed_with(changes: Value) -> Value {
    let mut jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": ED_X });
    for (name, value) in changes.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}

fn rsa_with(n: &[u8], e: &[u8]) -> Value {
    json!([{ "kty": "RSA", "n": b64(n), "e": b64(e) }])
}

#[test]
fn keys_for_other_uses_or_algorithms_are_skipped() {
    let good = ed_with(json!({ "kid": "a", "use": "sig", "key_ops": ["verify"], "alg": "EdDSA" }));
    for other in [
        ed_with(json!({ "use": "enc" })),
        ed_with(json!({ "key_ops": ["sign"] })),
        ed_with(json!({ "key_ops": "verify" })),
        ed_with(json!({ "key_ops": [] })),
        ed_with(json!({ "alg": "ECDH-ES" })),
        ed_with(json!({ "alg": 5 })),
        ed_with(json!({ "crv": "X25519" })),
        json!({ "kty": "EC", "crv": "P-521" }),
        json!({ "kty": "EC", "crv": "P-256" }),
        json!({ "kty": "AKP" }),
    ] {
        assert_eq!(
            set(json!([other.clone(), good])).unwrap().len(),
            1,
            "{other}"
        );
        assert_eq!(set(json!([other])), Ok(Vec::new()));
    }
}

#[test]
fn an_rsa_key_without_alg_is_used_for_each_allowed_rsa_algorithm() {
    let keys = set(json!([{ "kty": "RSA", "n": RSA_N, "e": "AQAB", "kid": "r" }])).unwrap();
    let kid = Some("r".to_owned());
    assert_eq!(keys, [(kid.clone(), "RS256"), (kid, "PS256")]);
    let keys = set(json!([{ "kty": "RSA", "n": RSA_N, "e": "AQAB", "alg": "PS256" }])).unwrap();
    assert_eq!(keys, [(None, "PS256")]);
    // Some issuers write a leading zero byte.
    let mut n = vec![0];
    n.extend(URL_SAFE_NO_PAD.decode(RSA_N).unwrap());
    assert!(set(rsa_with(&n, &[1, 0, 1])).is_ok());
}

#[test]
fn weak_malformed_and_symmetric_keys_are_skipped_and_valid_keys_are_used() {
    let n = URL_SAFE_NO_PAD.decode(RSA_N).unwrap();
    let good = ed_with(json!({ "kid": "good" }));
    let expected = Ok(vec![(Some("good".to_owned()), "EdDSA")]);
    for bad in [
        rsa_with(&n[..128], &[1, 0, 1])[0].clone(),
        rsa_with(&[&[0x7f], &n[1..]].concat(), &[1, 0, 1])[0].clone(),
        rsa_with(&[n.as_slice(); 5].concat(), &[1, 0, 1])[0].clone(),
        rsa_with(&n, &[1])[0].clone(),
        rsa_with(&n, &[])[0].clone(),
        rsa_with(&n, &[2])[0].clone(),
        rsa_with(&n, &[1, 0, 0, 0, 1])[0].clone(),
        json!({ "kty": "RSA", "e": "AQAB" }),
        json!({ "kty": "RSA", "n": "%%", "e": "AQAB" }),
        json!({ "kty": "oct", "k": "AAAA" }),
        json!({ "kty": "oct", "k": "AAAA", "use": "enc" }),
        ed_with(json!({ "x": "AAAA" })),
        ed_with(json!({ "x": format!("{ED_X}=") })),
        ed_with(json!({ "kid": 5 })),
        json!({ "crv": "Ed25519" }),
        json!("key"),
    ] {
        assert_eq!(set(json!([bad.clone(), good])), expected, "{bad}");
        assert_eq!(set(json!([good, bad.clone()])), expected, "{bad}");
        assert_eq!(set(json!([bad.clone()])), Ok(Vec::new()), "{bad}");
    }
    let off_curve = json!({ "keys": [
        { "kty": "EC", "crv": "P-256", "x": b64([1; 32]), "y": b64([2; 32]), "kid": "k".repeat(100) },
    ] });
    let read = parse_jwks(&off_curve.to_string(), &[Algorithm::Es256]).unwrap();
    assert!(read.keys.is_empty());
    let odd = SkippedKey {
        place: 0,
        kid: Some("k".repeat(KID_CHARACTERS_MAX)),
        reason: "It is not a point on its curve.",
    };
    assert_eq!(read.skipped, [odd]);
}

#[test]
fn a_key_with_ambiguous_json_is_skipped_and_other_keys_are_used() {
    let good = ed_with(json!({ "kid": "good" })).to_string();
    let nested = |depth: usize| {
        format!(
            r#"{{"kty":"RSA","x":{}{}}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    for odd in [
        format!(r#"{{"kty":"OKP","kty":"OKP","crv":"Ed25519","x":"{ED_X}"}}"#),
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{ED_X}","iat":1e400}}"#),
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{ED_X}","kid":"\ud800"}}"#),
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{ED_X}","\ud800":1}}"#),
        nested(200),
        nested(50_000),
    ] {
        for keys in [format!("{odd},{good}"), format!("{good},{odd}")] {
            for before in ["", "\u{feff}"] {
                let text = format!(r#"{before}{{"\ud800":1,"x":1e400,"keys":[{keys}]}}"#);
                let set = parse_jwks(&text, &Algorithm::ALL).unwrap();
                let kids: Vec<_> = set.keys.iter().map(|key| key.kid.as_deref()).collect();
                assert_eq!(kids, [Some("good")], "{}", &odd[..40]);
                assert_eq!(set.skipped.len(), 1);
            }
        }
    }
}

#[test]
fn a_null_member_of_a_jwk_counts_as_absent() {
    for name in ["use", "alg", "key_ops", "kid", "x5c", "n"] {
        let keys = set(json!([ed_with(json!({ name: null }))]));
        assert_eq!(keys, Ok(vec![(None, "EdDSA")]), "{name}");
    }
    for name in ["kty", "crv", "x"] {
        let keys = set(json!([ed_with(json!({ name: null }))]));
        assert_eq!(keys, Ok(Vec::new()), "{name}");
    }
}

#[test]
fn a_document_that_is_not_a_jwks_is_rejected() {
    for text in [
        "",
        "[]",
        "{}",
        r#"{"keys":{}}"#,
        r#"{"keys":null}"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"{"keys":[],"k\u0065ys":[]}"#,
        r#"{"keys":[]}{"#,
    ] {
        assert!(parse_jwks(text, &Algorithm::ALL).is_err(), "{text}");
    }
    assert!(parse_jwks(&" ".repeat(JWKS_BYTES_MAX + 1), &Algorithm::ALL).is_err());
    assert!(parse_jwks(&jwks(&[ed()]), &[]).unwrap().keys.is_empty());
}

#[test]
fn ed25519_is_accepted_as_a_name_of_eddsa_in_keys_and_tokens() {
    let expected = Ok(vec![(None, "EdDSA")]);
    for alg in ["EdDSA", "Ed25519"] {
        assert_eq!(set(json!([ed_with(json!({ "alg": alg }))])), expected);
    }
    for alg in ["Ed448", "ES256", "ed25519"] {
        assert_eq!(set(json!([ed_with(json!({ "alg": alg }))])), Ok(Vec::new()));
    }
    let key = ed();
    let token = |alg: &str| {
        key.sign_parts(
            &header_with(key, json!({ "alg": alg })),
            &claims_with(json!({})),
        )
        .unwrap()
    };
    let jwk = Value::Object(key.public_jwk().clone()).to_string();
    for alg in ["EdDSA", "Ed25519"] {
        assert!(verify(&token(alg), &own_ring(&[key]), NOW).is_ok(), "{alg}");
        for asked in ["EdDSA", "Ed25519"] {
            assert_eq!(verify_jws(&jwk, asked, &token(alg)), Ok(()));
        }
        assert!(verify_jws(&jwk, "ES256", &token(alg)).is_err());
    }
    assert!(verify(&token("Ed448"), &own_ring(&[key]), NOW).is_err());
    assert!(verify_jws(&jwk, "Ed448", &token("Ed448")).is_err());
}

#[test]
fn two_keys_with_the_same_kid_both_verify_tokens() {
    let other = super::forge::key(Algorithm::EdDsa);
    let twin = |key: &SigningKey| {
        let mut key = key.verifying_key();
        key.kid = Some("twice".to_owned());
        key
    };
    let mut ring = own_ring(&[]);
    ring.issuers[0].keys = vec![twin(&other), twin(ed())];
    let signed = |key: &SigningKey, kid: Value| {
        key.sign_parts(
            &header_with(key, json!({ "kid": kid })),
            &claims_with(json!({})),
        )
        .unwrap()
    };
    for key in [ed(), &other] {
        assert!(verify(&signed(key, json!("twice")), &ring, NOW).is_ok());
        assert!(verify(&signed(key, json!("once")), &ring, NOW).is_err());
        assert!(verify(&signed(key, Value::Null), &ring, NOW).is_ok());
    }
    let stranger = super::forge::key(Algorithm::EdDsa);
    assert!(verify(&signed(&stranger, json!("twice")), &ring, NOW).is_err());
}

#[test]
fn only_exact_algorithm_names_are_accepted() {
    for algorithm in Algorithm::ALL {
        assert_eq!(algorithm.to_string().parse(), Ok(algorithm));
    }
    for name in [
        "HS256", "HS384", "HS512", "none", "ES512", "eddsa", "RS256 ", "", "Ed448", "ed25519",
    ] {
        assert!(name.parse::<Algorithm>().is_err(), "{name}");
    }
}
