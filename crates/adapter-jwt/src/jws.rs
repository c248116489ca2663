//! A token as its three parts: strict base64url, a header without tricks, and the one place where a signature is checked.

use std::sync::Once;

use adapter::strict_object;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use serde_json::{Map, Value};

use crate::algorithm::{Algorithm, KeyError};
use crate::jwks;

/// Longest token read, in bytes: identity providers stay below 4 KiB, proxies cut headers at 8 KiB, and the cap comes
/// before any decoding.
pub const TOKEN_BYTES_MAX: usize = 8192;

/// Header parameters that change what the signature covers or how the payload is read; all of them are refused.
const REFUSED_PARAMETERS: [&str; 4] = ["crit", "b64", "zip", "enc"];

/// The HMAC algorithms with the shortest key that each may have, in bytes (RFC 7518 §3.2).
const HMAC: [(&str, jsonwebtoken::Algorithm, usize); 3] = [
    ("HS256", jsonwebtoken::Algorithm::HS256, 32),
    ("HS384", jsonwebtoken::Algorithm::HS384, 48),
    ("HS512", jsonwebtoken::Algorithm::HS512, 64),
];

/// A token's parts, not yet verified. Embedded keys and key addresses (`jwk`, `x5c`, `jku`, `x5u`) stay unread.
pub(crate) struct CompactToken<'a> {
    pub(crate) header: Map<String, Value>,
    pub(crate) payload: Vec<u8>,
    signed: &'a str,
    signature: &'a str,
}

impl<'a> CompactToken<'a> {
    /// Splits a token in compact form.
    pub(crate) fn read(token: &'a str) -> Result<CompactToken<'a>, &'static str> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err("the token is too long");
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("the token has not three parts");
        };
        if signature.is_empty() {
            return Err("the token is not signed");
        }
        let decode = |part| {
            URL_SAFE_NO_PAD
                .decode(part)
                .map_err(|_| "a part of the token is no base64url")
        };
        decode(signature)?;
        let header = strict_object(&decode(header)?)
            .ok_or("the header is no JSON object without doubled keys")?;
        if REFUSED_PARAMETERS
            .iter()
            .any(|name| header.contains_key(*name))
        {
            return Err("the header holds crit, b64, zip or enc");
        }
        if header.get("cty").is_some_and(is_nested) {
            return Err("the token holds another token");
        }
        Ok(CompactToken {
            header,
            payload: decode(payload)?,
            signed: &token[..token.len() - signature.len() - 1],
            signature,
        })
    }

    /// The algorithm that the header claims; a claim to be compared with the key's, never a choice.
    pub(crate) fn algorithm(&self) -> Option<&str> {
        self.header.get("alg").and_then(Value::as_str)
    }

    /// Whether this key made the signature with this algorithm.
    pub(crate) fn is_signed_by(
        &self,
        key: &DecodingKey,
        algorithm: jsonwebtoken::Algorithm,
    ) -> bool {
        install_backend();
        jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), key, algorithm)
            .unwrap_or(false)
    }
}

/// Checks one signature under one key and one algorithm, for `chatgate jws-verify`.
///
/// The key decides as it does for a caller's token. It may also be an `oct` key here, since the person at the command line
/// holds it; no caller's token is ever checked with one.
///
/// # Errors
/// One sentence that says what is wrong.
pub fn verify_jws(jwk_json: &str, alg: &str, token: &str) -> Result<(), &'static str> {
    let jwk = strict_object(jwk_json.as_bytes())
        .ok_or("the key is no JSON object without doubled keys")?;
    let token = CompactToken::read(token)?;
    let is_same = token.algorithm().is_some_and(|named| {
        let both = (named.parse::<Algorithm>(), alg.parse::<Algorithm>());
        named == alg || matches!(both, (Ok(named), Ok(asked)) if named == asked)
    });
    if !is_same {
        return Err("the token's algorithm is another one");
    }
    let (key, algorithm) = if jwk.get("kty").and_then(Value::as_str) == Some("oct") {
        hmac_key(&jwk, alg)?
    } else {
        let algorithm: Algorithm = alg.parse().map_err(KeyError::text)?;
        let keys = jwks::keys_of(&jwk, &[algorithm]).map_err(KeyError::text)?;
        let key = keys
            .into_iter()
            .next()
            .ok_or("the key is not for verifying with this algorithm")?;
        (key.key, algorithm.backend())
    };
    if token.is_signed_by(&key, algorithm) {
        Ok(())
    } else {
        Err("the signature is wrong")
    }
}

fn hmac_key(
    jwk: &Map<String, Value>,
    alg: &str,
) -> Result<(DecodingKey, jsonwebtoken::Algorithm), &'static str> {
    let (_, algorithm, bytes_min) = HMAC
        .into_iter()
        .find(|(name, ..)| *name == alg)
        .ok_or("the key is not for verifying with this algorithm")?;
    if !jwks::is_for_verifying(jwk, alg) {
        return Err("the key is not for verifying with this algorithm");
    }
    let secret = jwk
        .get("k")
        .and_then(Value::as_str)
        .and_then(|k| URL_SAFE_NO_PAD.decode(k).ok())
        .ok_or("the key is broken")?;
    if secret.len() < bytes_min {
        return Err("the key is too short for its algorithm");
    }
    Ok((DecodingKey::from_secret(&secret), algorithm))
}

/// Whether `cty` says JWT, in one of its spellings; a value other than a string might.
fn is_nested(cty: &Value) -> bool {
    cty.as_str()
        .is_none_or(|text| text.to_ascii_lowercase().ends_with("jwt"))
}

/// `jsonwebtoken` panics when the features of the whole build name no or two backends; naming it removes the question.
pub(crate) fn install_backend() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // An error means that somebody in this process named one already, which serves as well.
        let _ = DEFAULT_PROVIDER.install_default();
    });
}
