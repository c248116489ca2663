//! An outside issuer of tokens.

use std::path::PathBuf;

use adapter_jwt::{Algorithm, Claims, SigningKey};
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;
use tempfile::TempDir;

/// An outside issuer whose tokens a gateway can accept.
pub struct Issuer {
    key: SigningKey,
    pair: Ed25519KeyPair,
    jwks: PathBuf,
    _folder: TempDir,
}

pub const ISSUER: &str = "https://issuer.example";
pub const AUDIENCE: &str = "chatgate-tests";

impl Issuer {
    pub fn new() -> Issuer {
        let der = SigningKey::generate_pkcs8(Algorithm::EdDsa).unwrap();
        let key = SigningKey::from_pkcs8(Algorithm::EdDsa, &der).unwrap();
        let folder = TempDir::new().unwrap();
        let jwks = folder.path().join("jwks.json");
        std::fs::write(&jwks, adapter_jwt::jwks(&[&key])).unwrap();
        Issuer {
            key,
            pair: Ed25519KeyPair::from_pkcs8(&der).unwrap(),
            jwks,
            _folder: folder,
        }
    }

    pub fn as_configuration(&self) -> String {
        let jwks = self.jwks.display();
        format!(
            "[[jwt.issuers]]\nissuer = \"{ISSUER}\"\njwks = \"{jwks}\"\naudience = [\"{AUDIENCE}\"]\naccesses = [\"*\"]\n"
        )
    }

    /// Returns the JWKS document with the issuer's key.
    pub fn jwks(&self) -> String {
        std::fs::read_to_string(&self.jwks).unwrap()
    }

    /// Returns a token for an access with a life of this many seconds.
    pub fn token(&self, access: &str, life_s: i64) -> String {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let now = i64::try_from(now).unwrap();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: access.to_owned(),
            client_id: "outside".to_owned(),
            exp: now + life_s,
            iat: now - 1000,
            jti: "1".to_owned(),
            scope: "chat".to_owned(),
            token_generation: 0,
        };
        self.key.sign(&claims).unwrap()
    }

    /// Returns a token with these claims in addition to the required ones.
    pub fn token_with(&self, claims: &Value) -> String {
        self.token_of(&serde_json::json!({}), claims)
    }

    /// Returns the required claims together with these.
    pub fn claims(claims: &Value) -> Value {
        let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
        let mut all = serde_json::json!({"iss": ISSUER, "aud": AUDIENCE, "exp": now + 300});
        let members = all.as_object_mut().unwrap();
        members.extend(claims.as_object().unwrap().clone());
        all
    }

    /// Returns a token whose header has these additional members; a null member removes the usual one.
    pub fn token_of(&self, header: &Value, claims: &Value) -> String {
        let mut usual = serde_json::json!({"alg": "EdDSA", "typ": "JWT", "kid": self.key.kid()});
        let members = usual.as_object_mut().unwrap();
        members.extend(header.as_object().unwrap().clone());
        members.retain(|_, value| !value.is_null());
        let encode = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(&usual), encode(&Issuer::claims(claims)));
        let signature = self.pair.sign(message.as_bytes());
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}
