//! The result of a way in for a call, in a comparable form.

use std::sync::LazyLock;

use adapter::{Code, Credentials, Decoded, Error, OPERATIONS, Params, Request};
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::ExposeSecret;

/// Names of parameters that every call may have.
const COMMON: [&str; 5] = ["class", "method", "user", "password", "idempotency_key"];

/// A readable call, with credentials in the clear.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) who: Who,
    pub(crate) call: Result<Request, Code>,
    pub(crate) key: Result<Option<String>, Code>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Password(String, String),
    Token(String),
}

impl Reading {
    /// Converts the result of an adapter.
    pub(crate) fn of(decoded: Result<Decoded, Error>) -> Result<Reading, Code> {
        let decoded = decoded.map_err(|error| error.code())?;
        Ok(Reading {
            who: match decoded.credentials {
                Credentials::Password { user, password } => {
                    Who::Password(user, password.expose_secret().to_owned())
                }
                Credentials::Token(token) => Who::Token(token.expose_secret().to_owned()),
            },
            call: decoded.call.map_err(|error| error.code()),
            key: decoded.idempotency_key.map_err(|error| error.code()),
        })
    }
}

/// Every declared parameter name, each once.
pub(crate) static DECLARED: LazyLock<Vec<&'static str>> = LazyLock::new(|| {
    let of_rows = OPERATIONS.iter().flat_map(|row| row.parameters);
    let mut names: Vec<_> = COMMON.into_iter().chain(of_rows.map(|p| p.name)).collect();
    names.sort_unstable();
    names.dedup();
    names
});

/// Declared names with the values that a reader returned for them.
pub(crate) type Taken = Vec<(&'static str, Result<Option<String>, Code>)>;

/// Takes all declared parameters out of `params`.
pub(crate) fn taken(mut params: Params) -> Taken {
    let take = |name| {
        let value = params.take(name).map_err(|error| error.code());
        (name, value)
    };
    DECLARED.iter().copied().map(take).collect()
}

/// Returns the expected values of these pairs: none for an empty value, and an error for two that differ.
pub(crate) fn expected(pairs: &[(String, String)]) -> Taken {
    let of = |name: &'static str| {
        let mut values = pairs.iter().filter(|(n, _)| n == name).map(|(_, v)| v);
        let first = values.next();
        let verdict = if values.all(|value| Some(value) == first) {
            Ok(first.filter(|value| !value.is_empty()).cloned())
        } else {
            Err(Code::IncorrectParam)
        };
        (name, verdict)
    };
    DECLARED.iter().copied().map(of).collect()
}

/// Returns the pairs that have a value.
pub(crate) fn pairs(taken: &Taken) -> Vec<(String, String)> {
    let with_value = taken.iter().filter_map(|(name, value)| {
        let value = value.as_ref().ok()?.clone()?;
        Some(((*name).to_owned(), value))
    });
    with_value.collect()
}

/// Returns header lines, or `None` if hyper would never pass on such a value.
pub(crate) fn headers(lines: &[(&'static str, &[u8])]) -> Option<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        let value = HeaderValue::from_bytes(value).ok()?;
        map.append(HeaderName::from_static(name), value);
    }
    Some(map)
}

/// Returns the input before and after the first such byte.
pub(crate) fn split(bytes: &[u8], at: u8) -> (&[u8], &[u8]) {
    match bytes.iter().position(|byte| *byte == at) {
        Some(found) => (&bytes[..found], &bytes[found + 1..]),
        None => (bytes, &[]),
    }
}
