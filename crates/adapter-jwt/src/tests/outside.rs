//! Tests of tokens from outside issuers.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

use super::forge::*;
use crate::*;

const OUTSIDE: &str = "https://login.example/";

fn ring_with(jwks: &str, algorithms: &[Algorithm]) -> Keyring {
    let outside = Issuer {
        iss: OUTSIDE.to_owned(),
        audience: vec!["chat-api".to_owned(), "other".to_owned()],
        access_claim: "access".to_owned(),
        accesses: AccessNames::all(),
        scopes: ScopeRule::default(),
        keys: parse_jwks(jwks, algorithms).unwrap().keys,
        own: false,
    };
    Keyring {
        issuers: vec![own_issuer(&[ed()]), outside],
    }
}

fn outside_claims(changes: Value) -> Value {
    let mut claims = json!({
        "iss": OUTSIDE, "aud": "chat-api", "sub": "x", "access": "shop", "exp": NOW + 60,
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

fn outside(header_changes: Value, claim_changes: Value) -> Result<Subject, TokenFault> {
    let key = rsa();
    let token = key
        .sign_parts(
            &header_with(key, header_changes),
            &outside_claims(claim_changes).to_string(),
        )
        .unwrap();
    verify(&token, &ring_with(&jwks(&[key]), &[Algorithm::Rs256]), NOW)
}

#[test]
fn an_outside_token_without_typ_and_scope_is_accepted_but_allows_nothing() {
    let typs = ["JWT", "jwt", "at+jwt", "application/jwt"];
    for typ in [json!(null)].into_iter().chain(typs.map(|typ| json!(typ))) {
        let subject = outside(json!({ "typ": typ }), json!({})).unwrap();
        assert_eq!(subject.access, "shop");
        // A token without a scope allows nothing.
        assert_eq!(subject.scope, Scope::nothing());
    }
    assert!(outside(json!({ "typ": "logout+jwt" }), json!({})).is_err());
    assert!(outside(json!({}), json!({ "access": "" })).is_err());
    assert!(outside(json!({}), json!({ "access": 7 })).is_err());
    assert!(outside(json!({}), json!({ "aud": format!("{OWN}/api/jwt/") })).is_err());
}

#[test]
fn unknown_words_in_the_scope_of_an_outside_token_allow_nothing() {
    let scope = |text: Value| outside(json!({}), json!({ "scope": text })).map(|s| s.scope);
    assert_eq!(scope(json!("openid chat")).unwrap(), Scope::all());
    let some = scope(json!("openid getchats")).unwrap();
    assert!(some.allows("getchats") && !some.allows("sendmessage"));
    for text in ["openid email", ""] {
        let none = scope(json!(text)).unwrap();
        assert!(adapter::OPERATIONS.iter().all(|op| !none.allows(op.method)));
    }
    assert_eq!(scope(json!(["openid", "chat"])).unwrap(), Scope::all());
    for wrong in [json!(["chat", 1]), json!(null), json!({"chat": true})] {
        assert!(scope(wrong).is_err());
    }
}

#[test]
fn the_first_present_scope_claim_applies_and_the_default_if_none_is_present() {
    let rule = |default| ScopeRule {
        claims: ["scope", "scp", "roles"].map(str::to_owned).to_vec(),
        default,
    };
    let scope = |claims: Value, rule: &ScopeRule| {
        let key = rsa();
        let token = key
            .sign_parts(
                &header(key).to_string(),
                &outside_claims(claims).to_string(),
            )
            .unwrap();
        let mut ring = ring_with(&jwks(&[key]), &[Algorithm::Rs256]);
        ring.issuers[1].scopes = rule.clone();
        verify(&token, &ring, NOW).unwrap().scope.to_string()
    };
    let none = rule(Scope::nothing());
    for (claims, expected) in [
        (json!({"scp": "getchats"}), "getchats"),
        (json!({"scp": ["getchats", "x"]}), "getchats"),
        (json!({"roles": ["sendmessage"]}), "sendmessage"),
        (json!({"scope": "openid", "roles": ["chat"]}), ""),
        (json!({"scope": "getchats", "scp": "chat"}), "getchats"),
        (json!({"roles": []}), ""),
        (json!({"groups": ["chat"]}), ""),
        (json!({}), ""),
    ] {
        assert_eq!(scope(claims.clone(), &none), expected, "{claims}");
    }
    let all = rule(Scope::all());
    assert_eq!(scope(json!({}), &all), "chat");
    assert_eq!(scope(json!({"scp": "openid"}), &all), "");
}

#[test]
fn a_token_for_an_access_that_its_issuer_may_not_name_is_rejected() {
    let key = rsa();
    let judged = |accesses: &[&str], jwks: &str| {
        let token = key
            .sign_parts(
                &header(key).to_string(),
                &outside_claims(json!({})).to_string(),
            )
            .unwrap();
        let mut ring = ring_with(jwks, &[Algorithm::Rs256]);
        ring.issuers[1].accesses = AccessNames::parse(accesses.iter().copied()).unwrap();
        verify(&token, &ring, NOW)
    };
    let known = jwks(&[key]);
    for names in [&["shop"][..], &["s*"], &["*"], &["x", "shop"]] {
        assert_eq!(judged(names, &known).unwrap().access, "shop");
    }
    // A token that would be rejected even with its key causes no request for keys.
    let others = jwks(&[&super::forge::key(Algorithm::Rs256)]);
    for names in [&[][..], &["shop-*"], &["Shop"]] {
        for set in [&known, &others] {
            let refused = TokenFault::Invalid("the issuer may not name this access");
            assert_eq!(judged(names, set), Err(refused));
        }
    }
}

#[test]
fn a_key_of_one_issuer_does_not_verify_tokens_of_another_issuer() {
    let ring = ring_with(&jwks(&[rsa()]), &[Algorithm::Rs256]);
    let as_own = rsa().sign(&claims()).unwrap();
    assert_eq!(
        verify(&as_own, &ring, NOW),
        Err(TokenFault::Invalid("the key is unknown"))
    );
}

#[test]
fn an_unknown_key_is_reported_only_for_a_token_with_valid_claims() {
    let unknown = |changes| {
        let token = ed()
            .sign_parts(
                &header(ed()).to_string(),
                &outside_claims(changes).to_string(),
            )
            .unwrap();
        verify(
            &token,
            &ring_with(&jwks(&[rsa()]), &[Algorithm::Rs256]),
            NOW,
        )
    };
    let issuer = OUTSIDE.to_owned();
    assert_eq!(unknown(json!({})), Err(TokenFault::UnknownKey { issuer }));
    assert!(matches!(
        unknown(json!({ "exp": NOW - 100 })),
        Err(TokenFault::Invalid(_))
    ));
    assert!(matches!(
        unknown(json!({ "aud": "x" })),
        Err(TokenFault::Invalid(_))
    ));
}

#[test]
fn outside_keys_of_type_rsa_ed25519_and_p256_verify_tokens() {
    let check = |jwks: &str, algorithm, token: &str| {
        let subject = verify(token, &ring_with(jwks, &[algorithm]), NOW).unwrap();
        assert_eq!(subject.access, "shop");
    };
    for (key, algorithm) in [(rsa(), Algorithm::Rs256), (ed(), Algorithm::EdDsa)] {
        let token = key
            .sign_parts(
                &header(key).to_string(),
                &outside_claims(json!({})).to_string(),
            )
            .unwrap();
        check(&jwks(&[ed(), rsa()]), algorithm, &token);
    }
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let set =
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": "e", "x": b64(x), "y": b64(y) }] });
    let header = json!({ "alg": "ES256", "kid": "e" }).to_string();
    let signed = format!(
        "{}.{}",
        b64(header),
        b64(outside_claims(json!({})).to_string())
    );
    let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    let token = format!("{signed}.{}", b64(signature));
    check(&set.to_string(), Algorithm::Es256, &token);
}
