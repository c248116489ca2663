//! Helpers that create tokens of any shape.

use std::sync::OnceLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::*;

/// The current time in every test.
pub(super) const NOW: i64 = 1_800_000_000;

pub(super) const OWN: &str = "https://gate.example";

pub(super) fn key(algorithm: Algorithm) -> SigningKey {
    let der = SigningKey::generate_pkcs8(algorithm).unwrap();
    SigningKey::from_pkcs8(algorithm, &der).unwrap()
}

pub(super) fn ed() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| key(Algorithm::EdDsa))
}

pub(super) fn rsa() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| key(Algorithm::Rs256))
}

pub(super) fn claims() -> Claims {
    Claims {
        iss: OWN.to_owned(),
        aud: format!("{OWN}/api/jwt/"),
        sub: "demo".to_owned(),
        client_id: "cga_1".to_owned(),
        exp: NOW + 3600,
        iat: NOW,
        jti: "j1".to_owned(),
        scope: "chat".to_owned(),
        token_generation: 7,
    }
}

/// Returns the claims of an own token with some of them replaced, or removed if the new value is null.
pub(super) fn claims_with(changes: Value) -> String {
    changed(serde_json::to_value(claims()).unwrap(), changes)
}

pub(super) fn header(key: &SigningKey) -> Value {
    let alg = key.verifying_key().algorithm.name();
    json!({ "typ": "at+jwt", "alg": alg, "kid": key.kid() })
}

pub(super) fn header_with(key: &SigningKey, changes: Value) -> String {
    changed(header(key), changes)
}

fn changed(mut object: Value, changes: Value) -> String {
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            object.as_object_mut().unwrap().remove(name);
        } else {
            object[name] = value.clone();
        }
    }
    object.to_string()
}

pub(super) fn b64(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

pub(super) fn own_issuer(keys: &[&SigningKey]) -> Issuer {
    Issuer {
        iss: OWN.to_owned(),
        audience: vec![format!("{OWN}/api/jwt/")],
        access_claim: "sub".to_owned(),
        accesses: AccessNames::all(),
        scopes: ScopeRule::default(),
        keys: keys.iter().map(|key| key.verifying_key()).collect(),
        own: true,
    }
}

pub(super) fn own_ring(keys: &[&SigningKey]) -> Keyring {
    Keyring {
        issuers: vec![own_issuer(keys)],
    }
}

/// Returns an own token with changed claims.
pub(super) fn own_with(changes: Value) -> String {
    let key = ed();
    key.sign_parts(&header(key).to_string(), &claims_with(changes))
        .unwrap()
}
