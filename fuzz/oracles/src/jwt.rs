//! Judges tokens at a fixed time with a fixed key. Input: `0` and a token; or any other byte, a header, a line feed and claims,
//! which are signed with that key before they are judged.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use adapter_jwt::{
    AccessNames, Algorithm, Issuer, Keyring, SKEW_S, ScopeRule, SigningKey, Subject,
    TOKEN_BYTES_MAX, TokenFault, verify,
};
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use crate::json_reader::{members, unescaped};
use crate::reading::split;

/// The time at which every token is judged.
const NOW: i64 = 1_800_000_000;

const OWN: &str = "https://gate.example";
const OUTSIDE: &str = "https://issuer.example";

/// Any bytes are a valid Ed25519 key.
const SEED: [u8; 32] = [7; 32];

pub(crate) fn judge(input: &[u8]) {
    let token = match input {
        [] => return,
        [b'0', token @ ..] => match std::str::from_utf8(token) {
            Ok(token) => token.to_owned(),
            Err(_) => return,
        },
        [_, parts @ ..] => signed(parts),
    };
    match verify(&token, keyring(), NOW) {
        Ok(subject) => {
            fits(&token, &subject);
            forge(&token);
            let end = subject.valid_until;
            assert_eq!(verify(&token, keyring(), end), Err(TokenFault::Expired));
            assert_eq!(verify(&token, keyring(), end - 1), Ok(subject));
        }
        Err(TokenFault::Expired) => {
            let claims = claims(&token);
            assert!(
                number(&claims, "exp").is_some_and(|exp| exp + f64::from(SKEW_S) <= NOW as f64)
            );
        }
        Err(TokenFault::UnknownKey { issuer }) => assert_eq!(issuer, OUTSIDE),
        Err(TokenFault::Invalid(reason)) => assert!(!reason.is_empty()),
    }
}

fn pair() -> &'static Ed25519KeyPair {
    static PAIR: OnceLock<Ed25519KeyPair> = OnceLock::new();
    PAIR.get_or_init(|| Ed25519KeyPair::from_seed_unchecked(&SEED).expect("any seed will do"))
}

fn keyring() -> &'static Keyring {
    static RING: OnceLock<Keyring> = OnceLock::new();
    RING.get_or_init(|| {
        let der = pair().to_pkcs8().expect("a key can be written");
        let key = SigningKey::from_pkcs8(Algorithm::EdDsa, der.as_ref()).expect("and read again");
        let issuer = |iss: &str, audience: &str, claim: &str, own| Issuer {
            iss: iss.to_owned(),
            audience: vec![audience.to_owned()],
            access_claim: claim.to_owned(),
            accesses: AccessNames::all(),
            scopes: ScopeRule::default(),
            keys: vec![key.verifying_key()],
            own,
        };
        Keyring {
            issuers: vec![
                issuer(OWN, "https://gate.example/api/jwt/", "sub", true),
                issuer(OUTSIDE, "chatgate", "azp", false),
            ],
        }
    })
}

fn signed(parts: &[u8]) -> String {
    let (header, claims) = split(parts, b'\n');
    let encode = |part| BASE64_URL_SAFE_NO_PAD.encode(part);
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = pair().sign(message.as_bytes());
    format!("{message}.{}", encode(signature.as_ref()))
}

type Claims = BTreeMap<String, String>;

/// Returns one part of a token as an object, by the reader that is independent of serde.
fn part(token: &str, index: usize) -> Claims {
    let part = token.split('.').nth(index).expect("there are three parts");
    let bytes = BASE64_URL_SAFE_NO_PAD
        .decode(part)
        .expect("they are base64url");
    let text = String::from_utf8(bytes).expect("they are UTF-8");
    let pairs = members(&text).expect("they are objects");
    let count = pairs.len();
    let map: Claims = pairs.into_iter().map(|(k, v)| (k, v.to_owned())).collect();
    assert_eq!(map.len(), count, "a doubled key was taken");
    map
}

fn claims(token: &str) -> Claims {
    part(token, 1)
}

fn text(claims: &Claims, name: &str) -> Option<String> {
    unescaped(claims.get(name)?)
}

fn number(claims: &Claims, name: &str) -> Option<f64> {
    claims.get(name)?.parse().ok()
}

/// Checks an accepted token against RFC 8725 and RFC 9068.
fn fits(token: &str, subject: &Subject) {
    assert!(token.len() <= TOKEN_BYTES_MAX);
    let (header, claims) = (part(token, 0), claims(token));
    let alg = text(&header, "alg");
    assert!(matches!(alg.as_deref(), Some("EdDSA" | "Ed25519")));
    for name in ["crit", "b64", "zip", "enc"] {
        assert!(!header.contains_key(name), "{name} was taken");
    }
    let kid = keyring().issuers[0].keys[0].kid.clone();
    assert!(!header.contains_key("kid") || text(&header, "kid") == kid);
    let iss = text(&claims, "iss").unwrap_or_default();
    let issuer = keyring().issuers.iter().find(|issuer| issuer.iss == iss);
    let issuer = issuer.expect("a stranger's token was taken");
    let typ = text(&header, "typ").map(|typ| typ.to_ascii_lowercase());
    match typ.as_deref() {
        Some("at+jwt" | "application/at+jwt") => {}
        Some("jwt") | None => assert!(!issuer.own && typ.is_some() == header.contains_key("typ")),
        other => panic!("a token of type {other:?} was taken"),
    }
    assert!(claims["aud"].contains(&issuer.audience[0]) || claims["aud"].contains('\\'));
    assert_eq!(
        text(&claims, &issuer.access_claim),
        Some(subject.access.clone())
    );
    assert!(!subject.access.is_empty());
    let (now, skew) = (NOW as f64, f64::from(SKEW_S));
    assert!(number(&claims, "exp").is_some_and(|exp| exp + skew > now));
    for name in ["nbf", "iat"] {
        let has = claims.contains_key(name);
        assert!(
            !has || number(&claims, name).is_some_and(|from| from <= now + skew && from >= 0.0)
        );
    }
    if issuer.own {
        for name in ["sub", "client_id", "jti", "scope"] {
            assert!(
                text(&claims, name).is_some_and(|text| !text.is_empty()),
                "{name}"
            );
        }
        assert!(claims.contains_key("iat"));
    }
    let words = scope_words(&claims, issuer);
    for operation in &adapter::OPERATIONS {
        let method = operation.method;
        let says = words.iter().any(|word| word == "chat" || word == method);
        assert_eq!(subject.scope.allows(method), says, "{method}");
    }
}

/// Returns the words of the first existing scope claim, which is a text or a list of texts. Without such a claim there are no
/// words.
fn scope_words(claims: &Claims, issuer: &Issuer) -> Vec<String> {
    let claim = issuer
        .scopes
        .claims
        .iter()
        .find_map(|name| claims.get(name));
    let Some(claim) = claim else {
        return Vec::new();
    };
    if let Some(text) = unescaped(claim) {
        return text.split(' ').map(str::to_owned).collect();
    }
    serde_json::from_str(claim).expect("a scope that was taken is a text or a list of texts")
}

/// Checks that a token with one character changed or added is refused.
fn forge(token: &str) {
    for at in [token.len() / 3, token.len() / 2, token.len() - 1] {
        let new = if token.as_bytes()[at] == b'A' {
            'B'
        } else {
            'A'
        };
        let forged = format!("{}{new}{}", &token[..at], &token[at + 1..]);
        assert!(
            verify(&forged, keyring(), NOW).is_err(),
            "{forged} was taken"
        );
    }
    for forged in [
        format!("{token}A"),
        format!("{token}="),
        format!("{token}."),
        format!(" {token}"),
    ] {
        assert!(
            verify(&forged, keyring(), NOW).is_err(),
            "{forged} was taken"
        );
    }
}
