//! Makes tokens of any shape with our own keys, whose signatures are valid for any header and claims.

use std::path::PathBuf;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(super) const ISSUER: &str = "https://mint.example";
pub(super) const AUDIENCE: &str = "chatgate-mint";

/// The key that signs.
#[derive(Clone, Copy)]
pub(super) enum By {
    Ed,
    Rsa,
    /// A key that no gateway knows.
    Stranger,
}

/// The two keys of an issuer and the key of a stranger.
pub(super) struct Mint {
    ed: Ed25519KeyPair,
    rsa: RsaKeyPair,
    stranger: Ed25519KeyPair,
    pub(super) now: i64,
    pub(super) jwks: PathBuf,
    _folder: TempDir,
}

pub(super) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Mint {
    pub(super) fn new() -> Mint {
        let folder = TempDir::new().unwrap();
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let mint = Mint {
            ed: Ed25519KeyPair::generate().unwrap(),
            rsa: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            stranger: Ed25519KeyPair::generate().unwrap(),
            now: i64::try_from(now).unwrap(),
            jwks: folder.path().join("jwks.json"),
            _folder: folder,
        };
        let keys = json!({ "keys": [mint.ed_jwk(), mint.rsa_jwk()] });
        std::fs::write(&mint.jwks, keys.to_string()).unwrap();
        mint
    }

    pub(super) fn as_configuration(&self) -> String {
        format!(
            "[[jwt.issuers]]\nissuer = \"{ISSUER}\"\njwks = {:?}\naudience = [\"{AUDIENCE}\"]\naccesses = [\"demo\"]\n",
            self.jwks
        )
    }

    fn ed_jwk(&self) -> Value {
        let x = b64(self.ed.public_key());
        json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "ed", "use": "sig", "alg": "EdDSA" })
    }

    fn rsa_jwk(&self) -> Value {
        let [n, e] = self.numbers().map(b64);
        json!({ "kty": "RSA", "n": n, "e": e, "kid": "rsa", "use": "sig", "alg": "RS256" })
    }

    pub(super) fn stranger_jwk(&self) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "x": b64(self.stranger.public_key()), "kid": "ed" })
    }

    /// Returns modulus and exponent.
    fn numbers(&self) -> [Vec<u8>; 2] {
        let (n, e) = (
            self.rsa.public_key().modulus(),
            self.rsa.public_key().exponent(),
        );
        [n, e].map(|number| number.big_endian_without_leading_zero().to_vec())
    }

    /// Returns the public keys in every form that a verifier might mistake for a secret.
    pub(super) fn public_forms(&self) -> Vec<Vec<u8>> {
        let spki: PublicKeyX509Der<'_> = self.rsa.public_key().as_der().unwrap();
        let spki = spki.as_ref().to_vec();
        let pkcs1 = self.rsa.public_key().as_ref().to_vec();
        let pem = |what: &str, der: &[u8]| {
            let lines: Vec<_> = STANDARD
                .encode(der)
                .as_bytes()
                .chunks(64)
                .map(<[u8]>::to_vec)
                .collect();
            let body = String::from_utf8(lines.join(&b'\n')).unwrap();
            format!("-----BEGIN {what}-----\n{body}\n-----END {what}-----\n").into_bytes()
        };
        vec![
            pem("PUBLIC KEY", &spki),
            pem("RSA PUBLIC KEY", &pkcs1),
            spki,
            pkcs1,
            self.rsa_jwk().to_string().into_bytes(),
            std::fs::read(&self.jwks).unwrap(),
            self.numbers()[0].clone(),
            self.ed.public_key().as_ref().to_vec(),
            Vec::new(),
        ]
    }

    pub(super) fn header(by: By) -> Value {
        match by {
            By::Rsa => json!({ "alg": "RS256", "typ": "at+jwt", "kid": "rsa" }),
            By::Ed | By::Stranger => json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "ed" }),
        }
    }

    pub(super) fn claims(&self) -> Value {
        json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "demo", "exp": self.now + 3600, "iat": self.now - 60, "scope": "chat" })
    }

    /// Signs header and claims as they are, valid or not.
    pub(super) fn sign(
        &self,
        by: By,
        header: impl AsRef<[u8]>,
        claims: impl AsRef<[u8]>,
    ) -> String {
        self.sign_encoded(by, &format!("{}.{}", b64(header), b64(claims)))
    }

    /// Does the same for parts that are already encoded.
    pub(super) fn sign_encoded(&self, by: By, signed: &str) -> String {
        let signature = match by {
            By::Ed => self.ed.sign(signed.as_bytes()).as_ref().to_vec(),
            By::Stranger => self.stranger.sign(signed.as_bytes()).as_ref().to_vec(),
            By::Rsa => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                let random = SystemRandom::new();
                self.rsa
                    .sign(
                        &RSA_PKCS1_SHA256,
                        &random,
                        signed.as_bytes(),
                        &mut signature,
                    )
                    .unwrap();
                signature
            }
        };
        format!("{signed}.{}", b64(signature))
    }

    /// Returns a good token with these header members changed, or removed where the new value is [`GONE`].
    pub(super) fn header_with(&self, by: By, changes: &Value) -> String {
        self.sign(
            by,
            changed(Mint::header(by), changes),
            self.claims().to_string(),
        )
    }

    /// Does the same for claims.
    pub(super) fn claims_with(&self, changes: &Value) -> String {
        self.sign(
            By::Ed,
            Mint::header(By::Ed).to_string(),
            changed(self.claims(), changes),
        )
    }
}

/// The value that stands for "remove this member".
pub(super) const GONE: &str = "\u{0}gone";

pub(super) fn changed(mut object: Value, changes: &Value) -> String {
    for (name, value) in changes.as_object().unwrap() {
        if value == GONE {
            object.as_object_mut().unwrap().remove(name);
        } else {
            object[name] = value.clone();
        }
    }
    object.to_string()
}

/// Returns a token with an HMAC under this secret.
pub(super) fn macked(alg: &str, secret: &[u8], header: &Value, claims: &Value) -> String {
    let kind = match alg {
        "HS256" => hmac::HMAC_SHA256,
        "HS384" => hmac::HMAC_SHA384,
        _ => hmac::HMAC_SHA512,
    };
    let signed = format!(
        "{}.{}",
        b64(changed(header.clone(), &json!({ "alg": alg }))),
        b64(claims.to_string())
    );
    let tag = hmac::sign(&hmac::Key::new(kind, secret), signed.as_bytes());
    format!("{signed}.{}", b64(tag))
}
