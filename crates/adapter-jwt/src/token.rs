//! Verifies a token by RFC 8725 and RFC 9068, in one pure function of token, keys and time.

use std::fmt;

use adapter::strict_object;
use serde_json::{Map, Value};

use crate::access_names::AccessNames;
use crate::algorithm::Algorithm;
use crate::jwks::VerifyingKey;
use crate::jws::CompactToken;
use crate::scope::Scope;
use crate::scope_rule::ScopeRule;

/// Maximum difference between an issuer's clock and ours, in seconds. Clocks with NTP differ by far less, and the contract names
/// this value.
pub const SKEW_S: u32 = 30;

/// Maximum number of keys with which one signature is checked. The candidates are the keys with the token's id, or all keys of the
/// algorithm if the token has no id. Rotation needs two keys, and the limit bounds the cost of one check.
const CANDIDATES_MAX: usize = 8;

/// Claims that our own tokens always contain as text (RFC 9068 §2.2). A token without them was not issued by us.
const OWN_CLAIMS: [&str; 4] = ["sub", "client_id", "jti", "scope"];

/// An issuer whose tokens are accepted.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// The claim `iss`, character for character.
    pub iss: String,
    /// Values of `aud` that mean this gateway. A token must have one of them.
    pub audience: Vec<String>,
    /// The claim that names the access; `sub` unless configured otherwise.
    pub access_claim: String,
    /// The accesses that the issuer's tokens may name; all accesses for our own tokens.
    pub accesses: AccessNames,
    /// The rule for the scope of the issuer's tokens. Unused for our own tokens, whose scope is in `scope`.
    pub scopes: ScopeRule,
    /// The keys of the issuer, old and new ones during a rotation.
    pub keys: Vec<VerifyingKey>,
    /// True if the issuer is this gateway. Its tokens must fulfill all of RFC 9068.
    pub own: bool,
}

/// All issuers. Their names are distinct; of two issuers with one name the first would be used.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    /// The gateway itself and the outside issuers.
    pub issuers: Vec<Issuer>,
}

/// The content of a valid token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The name of the access.
    pub access: String,
    /// The limit that the token puts on the access.
    pub scope: Scope,
    /// The end of the validity, including the clock skew, in seconds since 1970.
    pub valid_until: i64,
    /// The issuer of the token, with its claims about the issuing.
    pub origin: TokenOrigin,
}

/// The issuer of a valid token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenOrigin {
    /// This gateway issued the token, for this client.
    Own {
        /// The claim `client_id`.
        client_id: String,
        /// The claim `token_generation`; 0 if it is absent, as in tokens from before the claim was introduced.
        generation: i64,
    },
    /// An outside issuer issued the token.
    Outside {
        /// The claim `iat` in whole seconds since 1970, if there is one.
        issued_at: Option<i64>,
    },
}

/// The reason why a token is rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// The token is valid in all respects, including its signature, but has expired.
    Expired,
    /// The token is valid as far as it can be checked, but is signed with a key of its outside issuer that we do not have. Fetching
    /// the keys again may help.
    UnknownKey {
        /// The issuer whose keys to fetch.
        issuer: String,
    },
    /// Any other error; the reason is for the log only.
    Invalid(&'static str),
}

impl From<&'static str> for TokenFault {
    fn from(reason: &'static str) -> TokenFault {
        TokenFault::Invalid(reason)
    }
}

impl fmt::Display for TokenFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TokenFault::Expired => f.write_str("the token has expired"),
            TokenFault::UnknownKey { issuer } => write!(f, "the key of {issuer:?} is unknown"),
            TokenFault::Invalid(reason) => f.write_str(reason),
        }
    }
}

impl From<TokenFault> for adapter::Error {
    /// Tells the caller only whether the token has expired.
    fn from(fault: TokenFault) -> adapter::Error {
        let code = match fault {
            TokenFault::Expired => adapter::Code::ExpiredToken,
            TokenFault::UnknownKey { .. } | TokenFault::Invalid(_) => adapter::Code::IncorrectToken,
        };
        adapter::Error::refused(code).because(fault.to_string())
    }
}

/// Verifies a token at `now`, in seconds since 1970.
///
/// The claims are checked before the signature, because they decide whose key is used and because an invalid token then costs no
/// cryptography. No claim is reported or used before the signature has been verified.
///
/// # Errors
/// [`TokenFault::Expired`] only if everything else is valid; [`TokenFault::UnknownKey`] only if everything except the key is valid.
pub fn verify(token: &str, keyring: &Keyring, now: i64) -> Result<Subject, TokenFault> {
    let token = CompactToken::read(token)?;
    let claims = strict_object(&token.payload)
        .ok_or("the claims are not a JSON object, or have a duplicate key")?;
    let iss = text(&claims, "iss").ok_or("iss is not a string")?;
    let issuer = keyring
        .issuers
        .iter()
        .find(|issuer| issuer.iss == iss)
        .ok_or("the issuer is unknown")?;
    issuer.check_type(token.header.get("typ"))?;
    issuer.check_audience(&claims)?;
    let (access, scope) = issuer.subject(&claims)?;
    let origin = issuer.origin(&claims)?;
    let valid_until = valid_until(&claims, now as f64)?;
    let is_over = now >= valid_until;
    let candidates = issuer.keys(&token)?;
    if candidates.is_empty() {
        if issuer.own || is_over {
            return Err(TokenFault::Invalid("the key is unknown"));
        }
        return Err(issuer.unknown_key());
    }
    let signed = |key: &&VerifyingKey| token.is_signed_by(&key.key, key.algorithm.backend());
    if !candidates.iter().any(signed) {
        // For a token without a key id, it is unknown whether the key that signed it is among the candidates.
        let is_named = token.header.contains_key("kid");
        return Err(if issuer.own || is_over || is_named {
            TokenFault::Invalid("the signature is wrong")
        } else {
            issuer.unknown_key()
        });
    }
    if is_over {
        return Err(TokenFault::Expired);
    }
    Ok(Subject {
        access,
        scope,
        valid_until,
        origin,
    })
}

impl Issuer {
    fn unknown_key(&self) -> TokenFault {
        TokenFault::UnknownKey {
            issuer: self.iss.clone(),
        }
    }

    /// Checks the type. Our own tokens must have the type of RFC 9068 §4; other issuers also write JWT or omit it.
    fn check_type(&self, typ: Option<&Value>) -> Result<(), &'static str> {
        const WRONG: &str = "typ is not that of an access token";
        let Some(typ) = typ else {
            return if self.own { Err(WRONG) } else { Ok(()) };
        };
        let is = |name| {
            typ.as_str()
                .is_some_and(|typ| typ.eq_ignore_ascii_case(name))
        };
        if is("at+jwt")
            || is("application/at+jwt")
            || (!self.own && (is("JWT") || is("application/jwt")))
        {
            Ok(())
        } else {
            Err(WRONG)
        }
    }

    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), &'static str> {
        let one = |value: &Value| match value {
            Value::String(text) => Ok(self.audience.contains(text)),
            _ => Err("aud contains a value that is not a string"),
        };
        let is_ours = match claims.get("aud") {
            None => return Err("aud is missing"),
            Some(Value::Array(list)) => list
                .iter()
                .try_fold(false, |found, value| Ok::<_, &str>(one(value)? || found))?,
            Some(value) => one(value)?,
        };
        if is_ours {
            Ok(())
        } else {
            Err("aud does not name this gateway")
        }
    }

    fn subject(&self, claims: &Map<String, Value>) -> Result<(String, Scope), &'static str> {
        if self.own {
            let is_whole = OWN_CLAIMS.iter().all(|name| text(claims, name).is_some());
            if !is_whole || !claims.contains_key("iat") {
                return Err("a token of this gateway lacks a claim");
            }
        }
        let access = text(claims, &self.access_claim)
            .ok_or("the claim that names the access is not a string")?;
        if !self.accesses.holds(access) {
            return Err("the issuer may not name this access");
        }
        let scope = if self.own {
            let words = text(claims, "scope").unwrap_or_default();
            Scope::parse(words).ok_or("a token of this gateway has an unknown scope")?
        } else {
            self.scopes.of(claims)?
        };
        Ok((access.to_owned(), scope))
    }

    fn origin(&self, claims: &Map<String, Value>) -> Result<TokenOrigin, &'static str> {
        if !self.own {
            let issued_at = time(claims, "iat")?.map(|seconds| seconds.floor() as i64);
            return Ok(TokenOrigin::Outside { issued_at });
        }
        let generation = match claims.get("token_generation") {
            None => 0,
            Some(generation) => generation
                .as_i64()
                .ok_or("token_generation is not a whole number")?,
        };
        Ok(TokenOrigin::Own {
            client_id: text(claims, "client_id").unwrap_or_default().to_owned(),
            generation,
        })
    }

    /// Returns the keys that may have signed the token: the keys with its key id, or all keys of its algorithm if it has no key id.
    /// Two keys with one id do not make the signatures of either key invalid (RFC 7517 §4.5 only recommends distinct ids).
    fn keys(&self, token: &CompactToken<'_>) -> Result<Vec<&VerifyingKey>, &'static str> {
        let algorithm = token.algorithm().ok_or("alg is not a string")?;
        let kid = match token.header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.as_str()),
            Some(_) => return Err("kid is not a string"),
        };
        let algorithm: Algorithm = algorithm
            .parse()
            .map_err(|_| "alg is not an accepted algorithm")?;
        let named = |key: &&VerifyingKey| kid.is_none() || key.kid.as_deref() == kid;
        let mut of_algorithm = self
            .keys
            .iter()
            .filter(named)
            .filter(|key| key.algorithm == algorithm);
        let candidates: Vec<_> = of_algorithm.by_ref().take(CANDIDATES_MAX).collect();
        if of_algorithm.next().is_some() {
            return Err("too many keys could have signed the token");
        }
        if candidates.is_empty() && kid.is_some() && self.keys.iter().any(|key| named(&key)) {
            return Err("alg differs from the key's algorithm");
        }
        Ok(candidates)
    }
}

/// Returns the end of the token's validity, in whole seconds. Returns an error if the validity has not begun or a time is not a
/// number.
fn valid_until(claims: &Map<String, Value>, now: f64) -> Result<i64, &'static str> {
    let exp = time(claims, "exp")?.ok_or("exp is missing")?;
    for name in ["nbf", "iat"] {
        if time(claims, name)?.is_some_and(|from| from > now + f64::from(SKEW_S)) {
            return Err("nbf or iat is in the future");
        }
    }
    // A time beyond the range of `i64` is never reached; the cast saturates there.
    Ok((exp + f64::from(SKEW_S)).ceil() as i64)
}

/// Reads an RFC 7519 NumericDate: a number, whole or not. A text that contains a number is rejected, not skipped.
fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<f64>, &'static str> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    match value.as_f64() {
        Some(seconds) if seconds.is_finite() && seconds >= 0.0 => Ok(Some(seconds)),
        _ => Err("exp, nbf or iat is not a time"),
    }
}

/// Returns a claim if it is text and not empty.
fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}
