//! Reads the `Authorization` header (RFC 7617 Basic, RFC 6750 Bearer) for two ways in and for the token endpoint.

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use secrecy::SecretString;

use crate::error::Error;
use crate::text::split_at_first;

/// Maximum length of a value other than a token, in bytes. User and password in base64 stay below 2 KiB.
const AUTHORIZATION_BYTES_MAX: usize = 8 * 1024 + 16;

/// The content of the header.
#[derive(Clone, Debug)]
pub enum Authorization {
    /// A name and a secret, split at the first colon. Without a colon the secret is missing.
    Basic(String, Option<SecretString>),
    /// A Basic header that is not base64 of UTF-8. No access accepts it.
    BrokenBasic,
    /// A bearer token, unchanged.
    Bearer(SecretString),
    /// Another scheme.
    Other,
}

/// Reads the header; returns `None` if it is absent.
///
/// # Errors
/// INCORRECT_PARAM if the request has the header twice, because taking one of the two would be a guess.
pub fn read_authorization(headers: &HeaderMap) -> Result<Option<Authorization>, Error> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Error::incorrect("The Authorization header is given twice."));
    }
    // Bytes that are not UTF-8 can be neither base64 nor a token. They get the same error as any other broken value.
    let text = match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(value.as_bytes()),
    };
    let (scheme, rest) = split_at_first(&text, b' ');
    let rest = rest.unwrap_or_default();
    let rest = rest.trim_start_matches(' ');
    if scheme.eq_ignore_ascii_case("bearer") {
        // A token that is too long gets the same error as any other wrong token, because the code that reads tokens has its own
        // limit.
        return Ok(Some(Authorization::Bearer(rest.into())));
    }
    if value.len() > AUTHORIZATION_BYTES_MAX {
        return Err(Error::incorrect("The Authorization header is too long."));
    }
    Ok(Some(if scheme.eq_ignore_ascii_case("basic") {
        basic(rest)
    } else {
        Authorization::Other
    }))
}

fn basic(encoded: &str) -> Authorization {
    let encoded = encoded.trim_end_matches(' ');
    // Some clients pad and some do not; a partial padding is an error.
    let base64 = if encoded.ends_with('=') {
        BASE64_STANDARD
    } else {
        BASE64_STANDARD_NO_PAD
    };
    let pair = base64
        .decode(encoded)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    match pair {
        None => Authorization::BrokenBasic,
        Some(mut pair) => {
            let (user, password) = split_at_first(&pair, b':');
            let (end, password) = (user.len(), password.map(SecretString::from));
            pair.truncate(end);
            Authorization::Basic(pair, password)
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use secrecy::ExposeSecret;

    use super::*;
    use crate::code::Code;

    #[track_caller]
    fn check(value: &'static str, user: &str, password: Option<&str>) {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
        match read_authorization(&headers).unwrap() {
            Some(Authorization::Basic(u, p)) => {
                assert_eq!(
                    (u.as_str(), p.as_ref().map(|p| p.expose_secret())),
                    (user, password)
                );
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn basic_headers_are_read_in_the_forms_that_clients_send() {
        check("Basic dXNlcjpwYXNz", "user", Some("pass"));
        check("basic   dXNlcjpwYXNz", "user", Some("pass"));
        check("BASIC dXNlcjpwOmE6c3M=", "user", Some("p:a:ss"));
        check("Basic dXNlcjpwOmE6c3M", "user", Some("p:a:ss"));
        check("Basic dMOpc3Q6cMOkc3M=", "tést", Some("päss"));
        check("Basic dXNlcg==", "user", None);
        check("Basic dXNlcjo=", "user", Some(""));
        check("Basic Og==", "", Some(""));
        check("Basic ", "", None);
    }

    #[test]
    fn malformed_duplicate_and_other_authorization_headers_are_distinguished() {
        let read = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_static(value));
            }
            read_authorization(&headers)
        };
        assert!(matches!(read(&[]), Ok(None)));
        assert!(matches!(
            read(&["Basic !!"]),
            Ok(Some(Authorization::BrokenBasic))
        ));
        assert!(matches!(
            read(&["Basic /////w=="]),
            Ok(Some(Authorization::BrokenBasic))
        ));
        assert!(matches!(
            read(&["Basic dXNlcjpwYQ="]),
            Ok(Some(Authorization::BrokenBasic))
        ));
        assert!(matches!(
            read(&["Digest x"]),
            Ok(Some(Authorization::Other))
        ));
        assert!(matches!(
            read(&["Bearer a.b.c"]),
            Ok(Some(Authorization::Bearer(_)))
        ));
        assert_eq!(
            read(&["Basic dTpw", "Basic dTpw"]).unwrap_err().code(),
            Code::IncorrectParam
        );
    }
}
