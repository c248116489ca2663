//! Tests of own tokens, valid and forged.

use serde_json::{Value, json};

use super::forge::*;
use crate::*;

fn judge(token: &str) -> Result<Subject, TokenFault> {
    verify(token, &own_ring(&[ed()]), NOW)
}

#[track_caller]
fn good(token: &str) -> Subject {
    judge(token).unwrap()
}

#[track_caller]
fn bad(token: &str, part_of_reason: &str) {
    match judge(token) {
        Err(TokenFault::Invalid(reason)) if reason.contains(part_of_reason) => {}
        other => panic!("{part_of_reason}: {other:?} for {token}"),
    }
}

/// Returns a token with valid claims, a changed header and a correct signature.
fn with_header(changes: Value) -> String {
    ed().sign_parts(&header_with(ed(), changes), &claims_with(json!({})))
        .unwrap()
}

#[test]
fn own_tokens_signed_with_eddsa_or_rs256_are_accepted() {
    for key in [ed(), rsa()] {
        let token = key.sign(&claims()).unwrap();
        let subject = verify(&token, &own_ring(&[ed(), rsa()]), NOW).unwrap();
        assert_eq!(subject.access, "demo");
        assert_eq!(subject.scope, Scope::all());
    }
    let subject = good(&own_with(json!({ "scope": "getchats  sendmessage" })));
    assert!(subject.scope.allows("getchats") && subject.scope.allows("sendmessage"));
    assert!(!subject.scope.allows("sendfile"));
}

#[test]
fn alg_none_is_rejected_in_every_spelling() {
    for alg in [
        "none",
        "None",
        "NONE",
        "nOnE",
        "",
        "none\u{0}",
        " none",
        "null",
    ] {
        let header = json!({ "typ": "at+jwt", "alg": alg }).to_string();
        let signed = format!("{}.{}", b64(header), b64(claims_with(json!({}))));
        bad(&format!("{signed}."), "not signed");
        bad(&format!("{signed}.AA"), "alg");
        bad(&signed, "three parts");
        bad(&with_header(json!({ "alg": alg })), "alg");
    }
    bad(&with_header(json!({ "alg": null })), "alg");
    bad(&with_header(json!({ "alg": ["EdDSA"] })), "alg");
    bad(&with_header(json!({ "alg": "eddsa" })), "alg");
}

#[test]
fn hmac_tokens_signed_with_a_public_key_are_rejected() {
    use aws_lc_rs::hmac;
    let jwk = jwks(&[rsa()]);
    let raw = rsa().public_jwk()["n"].as_str().unwrap().to_owned();
    for secret in [jwk, raw, ed().public_jwk()["x"].to_string()] {
        for (alg, kind) in [
            ("HS256", hmac::HMAC_SHA256),
            ("HS384", hmac::HMAC_SHA384),
            ("HS512", hmac::HMAC_SHA512),
        ] {
            let header = header_with(rsa(), json!({ "alg": alg }));
            let signed = format!("{}.{}", b64(header), b64(claims_with(json!({}))));
            let tag = hmac::sign(&hmac::Key::new(kind, secret.as_bytes()), signed.as_bytes());
            let token = format!("{signed}.{}", b64(tag));
            let fault = verify(&token, &own_ring(&[rsa()]), NOW).unwrap_err();
            assert_eq!(
                fault,
                TokenFault::Invalid("alg is not an accepted algorithm")
            );
        }
    }
}

#[test]
fn a_token_whose_alg_differs_from_its_key_is_rejected() {
    bad(
        &with_header(json!({ "alg": "RS256" })),
        "alg differs from the key's algorithm",
    );
    let token = rsa()
        .sign_parts(
            &header_with(rsa(), json!({ "alg": "PS256" })),
            &claims_with(json!({})),
        )
        .unwrap();
    let fault = verify(&token, &own_ring(&[rsa()]), NOW).unwrap_err();
    assert_eq!(
        fault,
        TokenFault::Invalid("alg differs from the key's algorithm")
    );
    // The kid and alg are correct, but the signature is another key's.
    let token = rsa()
        .sign_parts(&header(ed()).to_string(), &claims_with(json!({})))
        .unwrap();
    bad(&token, "signature");
}

#[test]
fn token_headers_with_crit_b64_zip_enc_or_a_wrong_type_are_rejected() {
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
    ] {
        bad(
            &with_header(json!({ name: value })),
            "crit, b64, zip or enc",
        );
    }
    for cty in [
        json!("JWT"),
        json!("jwt"),
        json!("application/jwt"),
        json!(1),
    ] {
        bad(&with_header(json!({ "cty": cty })), "another token");
    }
    let typs = [
        json!("JWT"),
        json!("application/jwt"),
        json!("at+jws"),
        json!(1),
        json!(null),
        json!(""),
    ];
    for typ in typs {
        bad(&with_header(json!({ "typ": typ })), "typ");
    }
    for typ in ["AT+JWT", "application/at+jwt", "Application/AT+JWT"] {
        good(&with_header(json!({ "typ": typ })));
    }
}

#[test]
fn keys_in_the_token_header_are_ignored() {
    let mine = key(Algorithm::EdDsa);
    let extras = json!({
        "jwk": mine.public_jwk(), "jku": "https://evil.example/jwks", "x5u": "https://evil.example/x",
        "x5c": ["AAAA"],
    });
    good(&with_header(extras.clone()));
    let token = mine
        .sign_parts(&header_with(ed(), extras), &claims_with(json!({})))
        .unwrap();
    bad(&token, "signature");
}

#[test]
fn an_unknown_or_non_string_kid_is_rejected() {
    for kid in [
        "../../dev/null",
        "' OR '1'='1",
        "https://evil.example/",
        "",
        "x",
    ] {
        bad(&with_header(json!({ "kid": kid })), "key is unknown");
    }
    for kid in [json!(1), json!(["a"]), json!(true)] {
        bad(&with_header(json!({ "kid": kid })), "kid is not a string");
    }
}

#[test]
fn a_token_without_kid_is_rejected_if_more_than_eight_keys_could_match() {
    let token = with_header(json!({ "kid": null }));
    good(&token);
    assert!(verify(&token, &own_ring(&[ed(), rsa()]), NOW).is_ok());
    let others: Vec<_> = (0..8).map(|_| key(Algorithm::EdDsa)).collect();
    let with_others = |count: usize| {
        let keys: Vec<_> = others[..count].iter().chain([ed()]).collect();
        verify(&token, &own_ring(&keys), NOW)
    };
    assert!(with_others(1).is_ok() && with_others(7).is_ok());
    assert_eq!(
        with_others(8),
        Err(TokenFault::Invalid(
            "too many keys could have signed the token"
        ))
    );
    let strangers: Vec<_> = others.iter().collect();
    assert_eq!(
        verify(&token, &own_ring(&strangers), NOW),
        Err(TokenFault::Invalid("the signature is wrong"))
    );
}

#[test]
fn tokens_of_the_old_and_the_new_key_verify_during_a_rotation() {
    let (old, new) = (key(Algorithm::EdDsa), key(Algorithm::EdDsa));
    let [by_old, by_new] = [&old, &new].map(|key| key.sign(&claims()).unwrap());
    let during = own_ring(&[&new, &old]);
    assert!(verify(&by_old, &during, NOW).is_ok());
    assert!(verify(&by_new, &during, NOW).is_ok());
    let fault = verify(&by_old, &own_ring(&[&new]), NOW).unwrap_err();
    assert_eq!(fault, TokenFault::Invalid("the key is unknown"));
}

#[test]
fn deviations_from_the_jws_compact_form_are_rejected() {
    let token = own_with(json!({}));
    good(&token);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    for broken in [
        format!(" {token}"),
        format!("{token} "),
        format!("{token}\n"),
        token.replacen('.', ". ", 1),
        format!("{token}="),
        format!("{token}=="),
        format!("{signed}.{}+{}", &signature[..10], &signature[11..]),
        format!("{signed}.{}/{}", &signature[..10], &signature[11..]),
    ] {
        bad(&broken, "base64url");
    }
    bad(&format!("{token}A"), "signature");
    // The last of the characters that encode 64 bytes has four unused bits. If they could be set, one token would have a second
    // spelling.
    let last = signature.chars().last().unwrap();
    let twin = char::from_u32(last as u32 + 1).unwrap();
    bad(&format!("{signed}.{}{twin}", &signature[..85]), "base64url");
    for broken in [
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{signature}"),
        format!("{token}.."),
        signed.to_owned(),
        String::new(),
        "....".to_owned(),
    ] {
        bad(&broken, "three parts");
    }
    bad("..", "not signed");
    bad(&format!(".{}.{signature}", b64("{}")), "header");
    bad(
        &format!("{}..{signature}", b64(header(ed()).to_string())),
        "claims",
    );
}

#[test]
fn an_overlong_token_is_rejected_before_it_is_decoded() {
    bad(&own_with(json!({ "pad": "x".repeat(7000) })), "too long");
    bad(&"a".repeat(TOKEN_BYTES_MAX + 1), "too long");
    bad(&"a".repeat(TOKEN_BYTES_MAX), "three parts");
}

#[test]
fn a_token_with_duplicate_json_keys_is_rejected() {
    let (head, body) = (header(ed()).to_string(), claims_with(json!({})));
    for double in [
        body.replacen('{', r#"{"sub":"demo","#, 1),
        body.replacen('{', r#"{"s\u0075b":"root","#, 1),
        body.replacen('{', r#"{"x":{"a":1,"a":2},"#, 1),
    ] {
        bad(&ed().sign_parts(&head, &double).unwrap(), "claims");
    }
    let double = head.replacen('{', r#"{"alg":"EdDSA","#, 1);
    bad(&ed().sign_parts(&double, &body).unwrap(), "header");
    for broken in ["[]", "\"x\"", "null", "", "{", "{}x"] {
        bad(&ed().sign_parts(&head, broken).unwrap(), "claims");
        bad(&ed().sign_parts(broken, &body).unwrap(), "header");
    }
}

#[test]
fn token_times_must_be_non_negative_numbers() {
    let body = claims_with(json!({ "exp": "HERE", "nbf": NOW }));
    let with = |exp: &str| {
        let body = body.replacen(r#""HERE""#, exp, 1);
        ed().sign_parts(&header(ed()).to_string(), &body).unwrap()
    };
    good(&with(&(NOW + 1).to_string()));
    good(&with(&format!("{}.5", NOW + 1)));
    good(&with("1.9e9"));
    bad(&with("1e400"), "claims");
    let ahead = format!("\"{}\"", NOW + 60);
    for broken in [
        ahead.as_str(),
        "-1",
        "-1.9e9",
        "null",
        "true",
        "[]",
        "{}",
        "\"\"",
    ] {
        bad(&with(broken), "not a time");
    }
    bad(&own_with(json!({ "exp": null })), "exp is missing");
    for name in ["nbf", "iat"] {
        bad(&own_with(json!({ name: "1800000000" })), "not a time");
        bad(&own_with(json!({ name: -5 })), "not a time");
        bad(&own_with(json!({ name: [NOW] })), "not a time");
        bad(&own_with(json!({ name: NOW + 31 })), "in the future");
        good(&own_with(json!({ name: NOW + 30 })));
    }
}

#[test]
fn a_token_is_reported_as_expired_only_if_everything_else_is_valid() {
    let expired = own_with(json!({ "exp": NOW - 30 }));
    good(&own_with(json!({ "exp": NOW - 29 })));
    assert_eq!(judge(&expired), Err(TokenFault::Expired));
    assert_eq!(
        judge(&own_with(json!({ "exp": 0 }))),
        Err(TokenFault::Expired)
    );
    let (signed, _) = expired.rsplit_once('.').unwrap();
    bad(&format!("{signed}.{}", b64([7; 64])), "signature");
    let over = NOW - 100;
    bad(&own_with(json!({ "exp": over, "aud": "x" })), "aud");
    bad(&own_with(json!({ "exp": over, "iss": "x" })), "issuer");
    bad(
        &own_with(json!({ "exp": over, "nbf": NOW + 100 })),
        "in the future",
    );
    bad(&own_with(json!({ "exp": over, "scope": "nope" })), "scope");
}

#[test]
fn a_token_must_name_a_known_issuer_and_this_gateway_as_audience() {
    let ours = format!("{OWN}/api/jwt/");
    good(&own_with(json!({ "aud": ["other", ours] })));
    good(&own_with(json!({ "aud": [ours, "other"] })));
    for aud in [
        json!("other"),
        json!(["other"]),
        json!([]),
        json!(""),
        json!(OWN),
    ] {
        bad(
            &own_with(json!({ "aud": aud })),
            "does not name this gateway",
        );
    }
    for aud in [
        json!(1),
        json!([ours, 1]),
        json!([[ours]]),
        json!({ "a": ours }),
    ] {
        bad(&own_with(json!({ "aud": aud })), "not a string");
    }
    bad(&own_with(json!({ "aud": null })), "aud is missing");
    for iss in [json!(null), json!(1), json!([OWN]), json!("")] {
        bad(&own_with(json!({ "iss": iss })), "iss is not a string");
    }
    bad(
        &own_with(json!({ "iss": format!("{OWN}/") })),
        "issuer is unknown",
    );
}

#[test]
fn an_own_token_without_a_required_claim_is_rejected() {
    for name in ["sub", "client_id", "jti", "scope", "iat"] {
        bad(&own_with(json!({ name: null })), "lacks a claim");
    }
    for name in ["sub", "client_id", "jti", "scope"] {
        bad(&own_with(json!({ name: "" })), "lacks a claim");
        bad(&own_with(json!({ name: 5 })), "lacks a claim");
    }
    for scope in [
        "root",
        "chat root",
        "SENDMESSAGE",
        " ",
        "sendmessage,getchats",
    ] {
        bad(&own_with(json!({ "scope": scope })), "scope");
    }
}

#[test]
fn error_codes_reveal_only_whether_a_token_has_expired() {
    use adapter::Code;
    let code = |fault| adapter::Error::from(fault).code();
    assert_eq!(code(TokenFault::Expired), Code::ExpiredToken);
    assert_eq!(code(TokenFault::Invalid("x")), Code::IncorrectToken);
    let issuer = "x".to_owned();
    assert_eq!(
        code(TokenFault::UnknownKey { issuer }),
        Code::IncorrectToken
    );
}
