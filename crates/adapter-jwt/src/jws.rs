//! Splits a token into its three parts with strict base64url, reads its header, and contains the only code that checks a signature.

use std::sync::Once;

use adapter::strict_object;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER;
use serde_json::{Map, Value};

use crate::algorithm::{Algorithm, KeyError};
use crate::jwks;

/// Maximum length of a token, in bytes. Tokens of identity providers stay below 4 KiB, and proxies cut headers at 8 KiB. The limit
/// is applied before any decoding.
pub const TOKEN_BYTES_MAX: usize = 8192;

/// Header parameters that change what the signature covers or how the payload is read. All of them are rejected.
const REFUSED_PARAMETERS: [&str; 4] = ["crit", "b64", "zip", "enc"];

/// The HMAC algorithms, each with the minimum length of its key, in bytes (RFC 7518 §3.2).
const HMAC: [(&str, jsonwebtoken::Algorithm, usize); 3] = [
    ("HS256", jsonwebtoken::Algorithm::HS256, 32),
    ("HS384", jsonwebtoken::Algorithm::HS384, 48),
    ("HS512", jsonwebtoken::Algorithm::HS512, 64),
];

/// The parts of a token, not verified yet. Embedded keys and addresses of keys (`jwk`, `x5c`, `jku`, `x5u`) are never read.
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
            return Err("the token does not have three parts");
        };
        if signature.is_empty() {
            return Err("the token is not signed");
        }
        let decode = |part| {
            URL_SAFE_NO_PAD
                .decode(part)
                .map_err(|_| "a part of the token is not base64url")
        };
        decode(signature)?;
        let header = strict_object(&decode(header)?)
            .ok_or("the header is not a JSON object, or has a duplicate key")?;
        if REFUSED_PARAMETERS
            .iter()
            .any(|name| header.contains_key(*name))
        {
            return Err("the header contains crit, b64, zip or enc");
        }
        if header.get("cty").is_some_and(is_nested) {
            return Err("the token contains another token");
        }
        Ok(CompactToken {
            header,
            payload: decode(payload)?,
            signed: &token[..token.len() - signature.len() - 1],
            signature,
        })
    }

    /// Returns the algorithm that the header claims. The claim is only compared with the key's algorithm and never selects one.
    pub(crate) fn algorithm(&self) -> Option<&str> {
        self.header.get("alg").and_then(Value::as_str)
    }

    /// Returns whether this key made the signature with this algorithm.
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

/// Checks one signature with one key and one algorithm, for `chatgate jws-verify`.
///
/// The key fixes the algorithm, as it does for a caller's token. Here the key may also be an `oct` key, because the person at the
/// command line has it. No caller's token is ever checked with an `oct` key.
///
/// # Errors
/// One sentence that describes the error.
pub fn verify_jws(jwk_json: &str, alg: &str, token: &str) -> Result<(), &'static str> {
    let jwk = strict_object(jwk_json.as_bytes())
        .ok_or("the key is not a JSON object, or has a duplicate key")?;
    let token = CompactToken::read(token)?;
    let is_same = token.algorithm().is_some_and(|named| {
        let both = (named.parse::<Algorithm>(), alg.parse::<Algorithm>());
        named == alg || matches!(both, (Ok(named), Ok(asked)) if named == asked)
    });
    if !is_same {
        return Err("the token has another algorithm than expected");
    }
    let (key, algorithm) = if jwk.get("kty").and_then(Value::as_str) == Some("oct") {
        hmac_key(&jwk, alg)?
    } else {
        let algorithm: Algorithm = alg.parse().map_err(KeyError::text)?;
        let keys = jwks::keys_of(&jwk, &[algorithm]).map_err(KeyError::text)?;
        let key = keys
            .into_iter()
            .next()
            .ok_or("the key can't be used to verify this algorithm")?;
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
        .ok_or("the key can't be used to verify this algorithm")?;
    if !jwks::is_for_verifying(jwk, alg) {
        return Err("the key can't be used to verify this algorithm");
    }
    let secret = jwk
        .get("k")
        .and_then(Value::as_str)
        .and_then(|k| URL_SAFE_NO_PAD.decode(k).ok())
        .ok_or("the key is invalid")?;
    if secret.len() < bytes_min {
        return Err("the key is too short for its algorithm");
    }
    Ok((DecodingKey::from_secret(&secret), algorithm))
}

/// Returns whether `cty` means JWT, in any of its spellings. A value that is not a string counts as JWT too.
fn is_nested(cty: &Value) -> bool {
    cty.as_str()
        .is_none_or(|text| text.to_ascii_lowercase().ends_with("jwt"))
}

/// Installs the cryptography backend. `jsonwebtoken` panics if the features of the whole build select none or two and no backend is
/// installed.
pub(crate) fn install_backend() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        // An error means that this process has already installed a backend, which can be used as well.
        let _ = DEFAULT_PROVIDER.install_default();
    });
}
