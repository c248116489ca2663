//! Writes the answers of the token endpoint and its metadata: RFC 6749 §5, RFC 6750, RFC 8414.

use std::borrow::Cow;

use adapter::{Code, Error, OPERATIONS, Operation, Reply};
use serde_json::json;

use crate::scope::{EVERYTHING, Scope, words};

const CONTENT_TYPE: &str = "application/json;charset=UTF-8";

const CHALLENGE: &[&str] = &[r#"Basic realm="chatgate", charset="UTF-8""#];

/// An error answer with a code of RFC 6749 §5.2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OauthError {
    /// The error code of the standard.
    pub error: &'static str,
    /// A sentence for people.
    pub description: Cow<'static, str>,
    /// The HTTP status.
    pub status: u16,
    /// True if the reply requests Basic credentials.
    pub challenge: bool,
}

impl OauthError {
    fn new(error: &'static str, status: u16, description: impl Into<Cow<'static, str>>) -> Self {
        OauthError {
            error,
            description: description.into(),
            status,
            challenge: status == 401,
        }
    }

    /// Returns the error of a request that cannot be understood.
    #[must_use]
    pub fn invalid_request(description: impl Into<Cow<'static, str>>) -> OauthError {
        OauthError::new("invalid_request", 400, description)
    }

    /// Returns the error of missing or wrong credentials. The sentence does not reveal which of the two credentials was wrong.
    #[must_use]
    pub fn invalid_client() -> OauthError {
        OauthError::new(
            "invalid_client",
            401,
            "The client_id or the client_secret is missing or wrong.",
        )
    }

    /// Returns the error of a scope that does not exist or that the access does not have.
    #[must_use]
    pub fn invalid_scope(description: impl Into<Cow<'static, str>>) -> OauthError {
        OauthError::new("invalid_scope", 400, description)
    }

    /// Returns the error of any grant other than client_credentials.
    #[must_use]
    pub fn unsupported_grant_type() -> OauthError {
        OauthError::new(
            "unsupported_grant_type",
            400,
            "The grant_type is not client_credentials.",
        )
    }

    /// Returns the error of a known client that may not have a token.
    #[must_use]
    pub fn unauthorized_client(description: impl Into<Cow<'static, str>>) -> OauthError {
        OauthError::new("unauthorized_client", 400, description)
    }

    /// Renders the reply. The gateway adds `Cache-Control: no-store` and, if it knows the delay, `Retry-After`.
    #[must_use]
    pub fn reply(&self) -> Reply {
        // RFC 6749 §5.2 allows printable ASCII without quotation marks and backslashes.
        let description: String = self
            .description
            .chars()
            .map(|c| match c {
                '"' | '\\' => '\'',
                ' '..='~' => c,
                _ => '?',
            })
            .collect();
        let body = json!({ "error": self.error, "error_description": description });
        Reply {
            status: self.status,
            content_type: CONTENT_TYPE,
            challenges: if self.challenge { CHALLENGE } else { &[] },
            body: body.to_string().into(),
            rest: None,
        }
    }
}

impl From<&Error> for OauthError {
    /// Translates the gateway's errors to codes of the standard, or to the nearest codes of the standard's authorization endpoint.
    fn from(error: &Error) -> OauthError {
        let code = error.code();
        let refusal = |word, status| OauthError::new(word, status, error.text().to_owned());
        match code {
            Code::MissingUser
            | Code::MissingPassword
            | Code::IncorrectUserPassword
            | Code::MissingToken
            | Code::IncorrectToken
            | Code::ExpiredToken => OauthError::invalid_client(),
            Code::IpNotAllowed | Code::OperationNotAllowed | Code::AccessDisabled => {
                refusal("unauthorized_client", code.status())
            }
            Code::RateLimited
            | Code::TooManyFailures
            | Code::Overloaded
            | Code::UpstreamUnavailable
            | Code::UpstreamTimeout => refusal("temporarily_unavailable", code.status()),
            Code::InternalError
            | Code::UpstreamError
            | Code::UpstreamRefusedCredentials
            | Code::UpstreamCode => refusal("server_error", code.status()),
            Code::MissingClass
            | Code::MissingMethod
            | Code::MissingCompulsoryParam
            | Code::IncorrectClass
            | Code::IncorrectMethod
            | Code::ChannelNotFound
            | Code::ChatNotFound
            | Code::IncorrectFiletype
            | Code::IncorrectFileurl
            | Code::IncorrectThumburl
            | Code::HttpMethodNotAllowed
            | Code::NotFound
            | Code::IncorrectParam
            | Code::MalformedRequest
            | Code::UnsupportedMediaType
            | Code::RequestTooLarge
            | Code::IdempotencyMismatch
            | Code::IdempotencyInProgress => refusal("invalid_request", code.status()),
        }
    }
}

/// Renders the successful answer of the token endpoint. The gateway adds `Cache-Control: no-store`.
#[must_use]
pub fn token_reply(token: &str, life_s: u32, scope: &Scope) -> Reply {
    let body = json!({
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": life_s,
        "scope": scope.to_string(),
    });
    Reply {
        status: 200,
        content_type: CONTENT_TYPE,
        challenges: &[],
        body: body.to_string().into(),
        rest: None,
    }
}

/// Returns the scope that a client gets; without a requested scope, everything that its access may do. `allowed` returns whether
/// the access may call a method.
///
/// # Errors
/// `invalid_scope` for an unknown word and for a method that the access may not call.
pub fn granted_scope(
    requested: Option<&str>,
    allowed: impl Fn(&str) -> bool,
) -> Result<Scope, OauthError> {
    let Some(text) = requested.filter(|text| !text.is_empty()) else {
        return Ok(Scope::all());
    };
    let scope = Scope::parse(text)
        .ok_or_else(|| OauthError::invalid_scope("The scope contains an unknown word."))?;
    if words(text).any(|word| word != EVERYTHING && !allowed(word)) {
        return Err(OauthError::invalid_scope(
            "The scope contains a method that the access may not call.",
        ));
    }
    Ok(scope)
}

/// The path of the token endpoint.
pub const TOKEN_PATH: &str = "/oauth/token";

/// The path of the public keys that verify our tokens.
pub const JWKS_PATH: &str = "/.well-known/jwks.json";

/// The path of the metadata of the token issuer (RFC 8414).
pub const METADATA_PATH: &str = "/.well-known/oauth-authorization-server";

/// Returns the RFC 8414 document. `public_url` is the issuer, character for character; `is_offered` returns whether the gateway
/// offers an operation.
#[must_use]
pub fn metadata(public_url: &str, is_offered: impl Fn(&Operation) -> bool) -> String {
    let base = public_url.trim_end_matches('/');
    let offered = OPERATIONS.iter().filter(|operation| is_offered(operation));
    let methods = offered.map(|operation| operation.method);
    let scopes: Vec<&str> = std::iter::once(EVERYTHING).chain(methods).collect();
    json!({
        "issuer": public_url,
        "token_endpoint": format!("{base}{TOKEN_PATH}"),
        "jwks_uri": format!("{base}{JWKS_PATH}"),
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "scopes_supported": scopes,
    })
    .to_string()
}
