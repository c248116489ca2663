//! The gateway's own keys, and the access tokens by RFC 9068 that it signs with them.

use std::fmt;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::algorithm::{Algorithm, KeyError};
use crate::jwks::{VerifyingKey, keys_of, thumbprint};

const UNSUPPORTED: KeyError = KeyError("The gateway signs its tokens only with EdDSA or RS256.");

/// The claims of one of our own tokens.
#[derive(Clone, Debug, Serialize)]
pub struct Claims {
    /// The issuer: the public URL.
    pub iss: String,
    /// The audience: the public URL with `/api/jwt/`.
    pub aud: String,
    /// The name of the access.
    pub sub: String,
    /// The client that requested the token.
    pub client_id: String,
    /// The expiry time, in seconds since 1970.
    pub exp: i64,
    /// The issue time, in seconds since 1970.
    pub iat: i64,
    /// The id of the token.
    pub jti: String,
    /// The scope, as [`crate::Scope`] writes it.
    pub scope: String,
    /// A claim of this gateway: the token generation of the access at the time of issue.
    pub token_generation: i64,
}

/// A private key that signs our own tokens. Debug prints only its id.
pub struct SigningKey {
    algorithm: Algorithm,
    private: PrivateKey,
    kid: String,
    jwk: Map<String, Value>,
    verifying: VerifyingKey,
}

enum PrivateKey {
    Ed25519(Box<Ed25519KeyPair>),
    Rsa(RsaKeyPair),
}

impl SigningKey {
    /// Generates a private key as PKCS#8 with the operating system's randomness. This is the only impure function of this crate.
    ///
    /// RSA keys get 2,048 bits, which every client can check; operators who want longer keys supply their own.
    ///
    /// # Errors
    /// The algorithm is not one that we sign with, or the system has no randomness.
    pub fn generate_pkcs8(algorithm: Algorithm) -> Result<Vec<u8>, KeyError> {
        let failed = |_| KeyError("The key could not be generated.");
        match algorithm {
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::generate().map_err(failed)?;
                Ok(pair.to_pkcs8().map_err(failed)?.as_ref().to_vec())
            }
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
                Ok(pair.as_der().map_err(failed)?.as_ref().to_vec())
            }
            _ => Err(UNSUPPORTED),
        }
    }

    /// Reads a private key. Its id is the RFC 7638 thumbprint of its public half, so the store need not hold a name for it.
    ///
    /// # Errors
    /// The key is not a PKCS#8 key for this algorithm, or is an RSA key below 2,048 bits.
    pub fn from_pkcs8(algorithm: Algorithm, der: &[u8]) -> Result<SigningKey, KeyError> {
        let rejected =
            |_| KeyError("The private key is not a usable PKCS#8 key for its algorithm.");
        let (private, public, members): (_, _, &[&str]) = match algorithm {
            Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(der).map_err(rejected)?;
                let x = URL_SAFE_NO_PAD.encode(pair.public_key());
                let public = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
                (
                    PrivateKey::Ed25519(Box::new(pair)),
                    public,
                    &["crv", "kty", "x"],
                )
            }
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::from_pkcs8(der).map_err(rejected)?;
                let parts = DEFAULT_PROVIDER
                    .key_utils
                    .rsa_pub_components_from_public_key;
                let (n, e) = parts(pair.public_key().as_ref())
                    .map_err(|_| KeyError("The private key has no readable public half."))?;
                let [n, e] = [n, e].map(|number| URL_SAFE_NO_PAD.encode(number));
                let public = json!({ "kty": "RSA", "n": n, "e": e });
                (PrivateKey::Rsa(pair), public, &["e", "kty", "n"])
            }
            _ => return Err(UNSUPPORTED),
        };
        let Value::Object(mut jwk) = public else {
            return Err(UNSUPPORTED);
        };
        let kid = thumbprint(&jwk, members);
        jwk.insert("kid".to_owned(), kid.as_str().into());
        jwk.insert("use".to_owned(), "sig".into());
        jwk.insert("alg".to_owned(), algorithm.name().into());
        // The public half is parsed like the keys of outside issuers, so that both kinds obey the same rules.
        let verifying = keys_of(&jwk, &[algorithm])?.pop().ok_or(UNSUPPORTED)?;
        Ok(SigningKey {
            algorithm,
            private,
            kid,
            jwk,
            verifying,
        })
    }

    /// Returns the id of the key, by which tokens and the JWKS refer to it.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// Returns the algorithm of the key's signatures.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the public half of the key.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        self.verifying.clone()
    }

    /// Signs an access token.
    ///
    /// # Errors
    /// The signature cannot be computed.
    pub fn sign(&self, claims: &Claims) -> Result<String, KeyError> {
        let header = json!({ "typ": "at+jwt", "alg": self.algorithm.name(), "kid": self.kid });
        let claims = serde_json::to_string(claims)
            .map_err(|_| KeyError("The claims can't be written as JSON."))?;
        self.sign_parts(&header.to_string(), &claims)
    }

    /// Signs two JSON texts and returns the token in compact form.
    pub(crate) fn sign_parts(&self, header: &str, claims: &str) -> Result<String, KeyError> {
        let mut token = URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = self.signature(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    pub(crate) fn public_jwk(&self) -> &Map<String, Value> {
        &self.jwk
    }

    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let failed = |_| KeyError("The token could not be signed.");
        match &self.private {
            PrivateKey::Ed25519(pair) => {
                Ok(pair.try_sign(message).map_err(failed)?.as_ref().to_vec())
            }
            PrivateKey::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                // PKCS#1 v1.5 signatures need no randomness. aws-lc-rs requires the source and does not use it.
                pair.sign(
                    &RSA_PKCS1_SHA256,
                    &SystemRandom::new(),
                    message,
                    &mut signature,
                )
                .map_err(failed)?;
                Ok(signature)
            }
        }
    }
}

/// Returns the JWKS document of our own keys, with their public parts only.
#[must_use]
pub fn jwks(keys: &[&SigningKey]) -> String {
    let published: Vec<_> = keys.iter().map(|key| key.public_jwk()).collect();
    json!({ "keys": published }).to_string()
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm)
            .field("kid", &self.kid)
            .finish_non_exhaustive()
    }
}
