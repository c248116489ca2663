//! Public keys: reading the JWKS of an outside issuer and publishing our own (RFC 7517, 7518, 7638, 8037).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Value, json};

use crate::json::{self, Object};
use crate::{Algorithm, KeyError, SigningKey};

/// Longest JWKS read, in bytes: the largest public ones (a dozen RSA keys with certificate chains) stay below 64 KiB.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;

/// RSA keys outside these sizes, in bits, are refused: RFC 7518 §3.3 asks for 2,048, and beyond 8,192 one check costs
/// more than a caller should be able to make us pay.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Longest RSA exponent, in bytes: 65,537 has three, and long ones make checking slow.
const RSA_EXPONENT_BYTES_MAX: usize = 4;

/// A public key and the one algorithm that it checks.
#[derive(Clone, Debug)]
pub struct VerifyingKey {
    /// Its id, as tokens name it.
    pub kid: Option<String>,
    /// The only algorithm for which it is used.
    pub algorithm: Algorithm,
    pub(crate) key: DecodingKey,
}

/// Reads the keys of a JWKS document that serve these algorithms.
///
/// Keys of other kinds or for other uses are passed over. An RSA key that names no algorithm serves each allowed RSA one.
///
/// # Errors
/// When the document is unreadable, publishes a secret (`oct`), holds a broken or weak key that would have served, or
/// leaves no key at all: better the old keys, or no start, than a part of the new ones.
pub fn parse_jwks(json: &str, algorithms: &[Algorithm]) -> Result<Vec<VerifyingKey>, KeyError> {
    if json.len() > JWKS_BYTES_MAX {
        return Err(KeyError("The JWKS is longer than 262144 bytes."));
    }
    let document = json::object(json.as_bytes()).ok_or(KeyError(
        "The JWKS is no JSON object, or a key of it is given twice.",
    ))?;
    let Some(Value::Array(list)) = document.get("keys") else {
        return Err(KeyError("The JWKS has no list named keys."));
    };
    let mut keys = Vec::new();
    for jwk in list {
        let jwk = jwk
            .as_object()
            .ok_or(KeyError("A key of the JWKS is no object."))?;
        keys.extend(keys_of(jwk, algorithms)?);
    }
    if keys.is_empty() {
        return Err(KeyError(
            "The JWKS holds no key for verifying with the allowed algorithms.",
        ));
    }
    Ok(keys)
}

/// The JWKS document of our own keys, public parts only.
#[must_use]
pub fn jwks(keys: &[&SigningKey]) -> String {
    let published: Vec<&Object> = keys.iter().map(|key| key.public_jwk()).collect();
    json!({ "keys": published }).to_string()
}

/// One JWK as a verifying key per algorithm that it serves; none when it is for something else.
pub(crate) fn keys_of(
    jwk: &Object,
    algorithms: &[Algorithm],
) -> Result<Vec<VerifyingKey>, KeyError> {
    let kty = text(jwk, "kty").ok_or(KeyError("A key of the JWKS names no kty."))?;
    if kty == "oct" {
        return Err(KeyError("The JWKS holds a shared secret (kty oct)."));
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
        Some(_) => return Err(KeyError("The kid of a key is no string.")),
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

/// Whether `use`, `key_ops` and `alg`, where they are given, allow verifying with this algorithm.
pub(crate) fn is_for_verifying(jwk: &Object, algorithm: &str) -> bool {
    let says = |name, word| jwk.get(name).is_none_or(|value| value == word);
    let may_verify = match jwk.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|word| word == "verify"),
        Some(_) => false,
    };
    says("use", "sig") && says("alg", algorithm) && may_verify
}

/// The RFC 7638 thumbprint. `members` are the required ones of the key's type, in alphabetical order.
pub(crate) fn thumbprint(jwk: &Object, members: &[&str]) -> String {
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

fn rsa(jwk: &Object) -> Result<DecodingKey, KeyError> {
    let n = number(jwk, "n")?;
    let e = number(jwk, "e")?;
    let bits = n.len() * 8 - n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        return Err(KeyError(
            "An RSA key has less than 2048 or more than 8192 bits.",
        ));
    }
    let is_odd = e.last().is_some_and(|byte| byte % 2 == 1);
    if !is_odd || e == [1] || e.len() > RSA_EXPONENT_BYTES_MAX {
        return Err(KeyError("The exponent of an RSA key is not usable."));
    }
    RsaPublicKeyComponents { n: &n, e: &e }
        .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
        .map_err(|_| KeyError("An RSA key is broken."))?;
    Ok(DecodingKey::from_rsa_raw_components(&n, &e))
}

fn ec(jwk: &Object) -> Result<DecodingKey, KeyError> {
    let (algorithm, coordinate_bytes) = match text(jwk, "crv") {
        Some("P-256") => (&ECDSA_P256_SHA256_FIXED, 32),
        _ => (&ECDSA_P384_SHA384_FIXED, 48),
    };
    let mut point = vec![4];
    for name in ["x", "y"] {
        let coordinate = bytes(jwk, name)?;
        if coordinate.len() != coordinate_bytes {
            return Err(KeyError("A coordinate of an EC key has the wrong length."));
        }
        point.extend(coordinate);
    }
    UnparsedPublicKey::new(algorithm, &point)
        .parse()
        .map_err(|_| KeyError("An EC key is no point of its curve."))?;
    Ok(DecodingKey::from_ec_der(&point))
}

fn ed25519(jwk: &Object) -> Result<DecodingKey, KeyError> {
    let x = bytes(jwk, "x")?;
    if x.len() != 32 {
        return Err(KeyError("An Ed25519 key has not 32 bytes."));
    }
    Ok(DecodingKey::from_ed_der(&x))
}

fn text<'a>(jwk: &'a Object, name: &str) -> Option<&'a str> {
    jwk.get(name).and_then(Value::as_str)
}

fn bytes(jwk: &Object, name: &str) -> Result<Vec<u8>, KeyError> {
    text(jwk, name)
        .and_then(|value| URL_SAFE_NO_PAD.decode(value).ok())
        .ok_or(KeyError("A value of a key is missing or no base64url."))
}

/// An unsigned number without the zero bytes that some issuers put in front.
fn number(jwk: &Object, name: &str) -> Result<Vec<u8>, KeyError> {
    let mut number = bytes(jwk, name)?;
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    Ok(number)
}
