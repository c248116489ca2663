//! Reads public keys and the JWKS of an outside issuer (RFC 7517, 7518, 7638, 8037).

use adapter::{JsonPairs, strict_object};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::algorithm::{Algorithm, KeyError};

/// Maximum length of a JWKS, in bytes. The largest public ones (a dozen RSA keys with certificate chains) stay below 64 KiB.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;

/// The accepted sizes of RSA keys, in bits. RFC 7518 §3.3 requires 2,048, and beyond 8,192 one signature check costs more than a
/// caller should be able to cause.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Maximum length of an RSA exponent, in bytes. 65,537 has three bytes, and long exponents make signature checks slow.
const RSA_EXPONENT_BYTES_MAX: usize = 4;

/// A public key and the one algorithm whose signatures it checks.
#[derive(Clone, Debug)]
pub struct VerifyingKey {
    /// The id of the key, by which tokens refer to it.
    pub kid: Option<String>,
    /// The only algorithm for which the key is used.
    pub algorithm: Algorithm,
    pub(crate) key: DecodingKey,
}

/// The content of a JWKS document.
#[derive(Clone, Debug, Default)]
pub struct KeySet {
    /// The usable keys.
    pub keys: Vec<VerifyingKey>,
    /// The unusable keys, in the document's order.
    pub skipped: Vec<SkippedKey>,
}

/// An unusable key of a JWKS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedKey {
    /// The index of the key in the document, from 0.
    pub place: usize,
    /// The id of the key, if it has one that is text, cut to [`KID_CHARACTERS_MAX`] characters.
    pub kid: Option<String>,
    /// The reason, in a sentence for operators that contains nothing else of the key.
    pub reason: &'static str,
}

/// Maximum length of an unusable key's id in reports, in characters; thumbprints have 43.
pub const KID_CHARACTERS_MAX: usize = 64;

/// Reads the keys of a JWKS document that can be used with these algorithms.
///
/// RFC 7517 §5: an unusable key is skipped, whatever is wrong with it, and the other keys remain usable. An RSA key that names no
/// algorithm is used for each allowed RSA algorithm. A member with the value null counts as absent.
///
/// # Errors
/// The document is not a JWKS: it is too long, is not a JSON object, or does not have exactly one list of keys.
pub fn parse_jwks(json: &str, algorithms: &[Algorithm]) -> Result<KeySet, KeyError> {
    if json.len() > JWKS_BYTES_MAX {
        return Err(KeyError("The JWKS is longer than 262144 bytes."));
    }
    let mut set = KeySet::default();
    for (place, jwk) in list(json)?.into_iter().enumerate() {
        let jwk = object(jwk);
        let found = jwk.as_ref().map_err(|error| *error);
        let reason = match found.and_then(|jwk| keys_of(jwk, algorithms)) {
            Ok(keys) if !keys.is_empty() => {
                set.keys.extend(keys);
                continue;
            }
            Ok(_) => {
                "It is for another purpose: its type, curve, use, operations or algorithm is not accepted."
            }
            Err(error) => error.text(),
        };
        let kid = jwk.as_ref().ok().and_then(|jwk| text(jwk, "kid"));
        set.skipped.push(SkippedKey {
            place,
            kid: kid.map(|kid| kid.chars().take(KID_CHARACTERS_MAX).collect()),
            reason,
        });
    }
    Ok(set)
}

/// Returns the keys of the document as source text, so that an error in one key does not affect how the other keys are read. Skips
/// a byte order mark at the start, because some editors write one.
fn list(json: &str) -> Result<Vec<&RawValue>, KeyError> {
    let json = json.strip_prefix('\u{feff}').unwrap_or(json);
    let members: JsonPairs<'_, &RawValue> =
        serde_json::from_str(json).map_err(|_| KeyError("The JWKS is not a JSON object."))?;
    let named = |name: &RawValue| serde_json::from_str(name.get()).ok() == Some("keys".to_owned());
    let mut lists = members.0.into_iter().filter(|(name, _)| named(name));
    let (Some((_, list)), None) = (lists.next(), lists.next()) else {
        return Err(KeyError(
            "The JWKS does not have exactly one member named keys.",
        ));
    };
    serde_json::from_str(list.get())
        .map_err(|_| KeyError("The member keys of the JWKS is not a list."))
}

/// Parses one key of the list and drops its null members.
fn object(jwk: &RawValue) -> Result<Map<String, Value>, KeyError> {
    let mut jwk = strict_object(jwk.get().as_bytes()).ok_or(KeyError(
        "It is not a JSON object, it has a duplicate member, or one of its values can't be read.",
    ))?;
    jwk.retain(|_, value| !value.is_null());
    Ok(jwk)
}

/// Returns one verifying key for each algorithm that the JWK can be used with; none if the JWK is for another purpose.
pub(crate) fn keys_of(
    jwk: &Map<String, Value>,
    algorithms: &[Algorithm],
) -> Result<Vec<VerifyingKey>, KeyError> {
    let kty = text(jwk, "kty").ok_or(KeyError("It has no kty."))?;
    if kty == "oct" {
        return Err(KeyError("It is a shared secret (kty oct)."));
    }
    let crv = text(jwk, "crv");
    let served: Vec<Algorithm> = algorithms
        .iter()
        .copied()
        .filter(|algorithm| algorithm.fits(kty, crv) && is_for_verifying(jwk, algorithm.name()))
        .collect();
    if served.is_empty() {
        return Ok(Vec::new());
    }
    let kid = match jwk.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.clone()),
        Some(_) => return Err(KeyError("Its kid is not a string.")),
    };
    let key = match kty {
        "RSA" => rsa(jwk)?,
        "EC" => ec(jwk)?,
        _ => ed25519(jwk)?,
    };
    Ok(served
        .into_iter()
        .map(|algorithm| VerifyingKey {
            kid: kid.clone(),
            algorithm,
            key: key.clone(),
        })
        .collect())
}

/// Returns whether the members `use`, `key_ops` and `alg`, if present, allow signature checks with this algorithm.
pub(crate) fn is_for_verifying(jwk: &Map<String, Value>, algorithm: &str) -> bool {
    let says_use = jwk.get("use").is_none_or(|value| value == "sig");
    let says_alg = jwk.get("alg").is_none_or(|value| {
        let named = value
            .as_str()
            .and_then(|name| name.parse::<Algorithm>().ok());
        value == algorithm || named.is_some_and(|named| named.name() == algorithm)
    });
    let may_verify = match jwk.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|word| word == "verify"),
        Some(_) => false,
    };
    says_use && says_alg && may_verify
}

/// Returns the RFC 7638 thumbprint. `members` are the required members of the key's type, in alphabetical order.
pub(crate) fn thumbprint(jwk: &Map<String, Value>, members: &[&str]) -> String {
    let required: Vec<String> = members
        .iter()
        .map(|name| {
            format!(
                "{}:{}",
                Value::from(*name),
                jwk.get(*name).unwrap_or(&Value::Null)
            )
        })
        .collect();
    let text = format!("{{{}}}", required.join(","));
    URL_SAFE_NO_PAD.encode(digest(&SHA256, text.as_bytes()))
}

fn rsa(jwk: &Map<String, Value>) -> Result<DecodingKey, KeyError> {
    let n = number(jwk, "n")?;
    let e = number(jwk, "e")?;
    let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err(KeyError("It has fewer than 2048 or more than 8192 bits."));
    }
    let is_odd = e.last().is_some_and(|byte| byte % 2 == 1);
    if !is_odd || e == [1] || e.len() > RSA_EXPONENT_BYTES_MAX {
        return Err(KeyError("Its exponent can't be used."));
    }
    RsaPublicKeyComponents { n: &n, e: &e }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .map_err(|_| KeyError("It is an invalid RSA key."))?;
    Ok(DecodingKey::from_rsa_raw_components(&n, &e))
}

fn ec(jwk: &Map<String, Value>) -> Result<DecodingKey, KeyError> {
    let (algorithm, coordinate_bytes) = match text(jwk, "crv") {
        Some("P-256") => (&ECDSA_P256_SHA256_FIXED, 32),
        _ => (&ECDSA_P384_SHA384_FIXED, 48),
    };
    let mut point = vec![4];
    for name in ["x", "y"] {
        let coordinate = bytes(jwk, name)?;
        if coordinate.len() != coordinate_bytes {
            return Err(KeyError("A coordinate has the wrong length."));
        }
        point.extend(coordinate);
    }
    UnparsedPublicKey::new(algorithm, &point)
        .parse()
        .map_err(|_| KeyError("It is not a point on its curve."))?;
    Ok(DecodingKey::from_ec_der(&point))
}

fn ed25519(jwk: &Map<String, Value>) -> Result<DecodingKey, KeyError> {
    let x = bytes(jwk, "x")?;
    if x.len() != 32 {
        return Err(KeyError("It does not have 32 bytes."));
    }
    Ok(DecodingKey::from_ed_der(&x))
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    jwk.get(name).and_then(Value::as_str)
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, KeyError> {
    text(jwk, name)
        .and_then(|value| URL_SAFE_NO_PAD.decode(value).ok())
        .ok_or(KeyError(
            "A member is missing, or is not base64url without padding.",
        ))
}

/// Reads an unsigned number and removes the leading zero bytes that some issuers write.
fn number(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, KeyError> {
    let mut number = bytes(jwk, name)?;
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    Ok(number)
}
