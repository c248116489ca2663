//! The request half of the token endpoint: RFC 6749 §2.3.1, §3.2, §4.4.

use adapter::{Authorization, Code, Credentials, Error, Wire, read_authorization};
use http::header::CONTENT_TYPE;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};

use crate::OauthError;

/// What a client asks for. Debug prints no secret.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// Who it claims to be.
    pub client_id: String,
    /// The secret as presented, within the bounds of a password.
    pub client_secret: SecretString,
    /// The scope that it wants.
    pub scope: Option<String>,
    /// Whether the credentials came by the Authorization header.
    pub in_header: bool,
}

/// The four parameters that this endpoint knows, each at most once.
#[derive(Default)]
struct Form {
    grant_type: Option<String>,
    scope: Option<String>,
    client_id: Option<String>,
    client_secret: Option<String>,
}

/// Refuses what the head of a request for a token has decided, whatever its body says.
///
/// # Errors
/// As [`read_token_request`], as far as no body is needed to know.
pub fn refuse_token_head(wire: &Wire<'_>) -> Result<(), OauthError> {
    refuse_query(wire.query)?;
    check_media_type(wire)
}

/// Reads a request for a token. The gateway has made sure that it is a POST.
///
/// # Errors
/// `invalid_request`, `unsupported_grant_type`, or `invalid_client` when the credentials are missing or unreadable.
pub fn read_token_request(wire: &Wire<'_>) -> Result<TokenRequest, OauthError> {
    refuse_query(wire.query)?;
    check_media_type(wire)?;
    let text = std::str::from_utf8(wire.body)
        .map_err(|_| OauthError::invalid_request("The form is not UTF-8."))?;
    let form = Form::read(text)?;
    let header = read_authorization(wire.headers).map_err(|error| OauthError::from(&error))?;
    match form.grant_type.as_deref() {
        None => {
            return Err(OauthError::invalid_request(
                "The parameter grant_type is missing.",
            ));
        }
        Some("client_credentials") => {}
        Some(_) => return Err(OauthError::unsupported_grant_type()),
    }
    let in_header = header.is_some();
    let (client_id, client_secret) = match header {
        None => (form.client_id, form.client_secret),
        Some(header) => header_client(header, &form)?,
    };
    // Bounds and forbidden characters are those of user and password, wherever the secret is used.
    match Credentials::password(client_id, client_secret) {
        Ok(Credentials::Password { user, password }) => Ok(TokenRequest {
            client_id: user,
            client_secret: password,
            scope: form.scope,
            in_header,
        }),
        Ok(Credentials::Token(_)) => Err(OauthError::invalid_client()),
        Err(error) if error.code() == Code::IncorrectParam => Err(OauthError::invalid_request(
            "The client_id or the client_secret is too long or holds control characters.",
        )),
        Err(error) => Err(OauthError::from(&error)),
    }
}

/// The pair of the header, each half form-decoded (RFC 6749 §2.3.1).
fn header_client(
    header: Authorization,
    form: &Form,
) -> Result<(Option<String>, Option<String>), OauthError> {
    let Authorization::Basic(id, secret) = header else {
        return Err(OauthError::invalid_client());
    };
    let decode = |half: &str| decoded(half).ok_or_else(OauthError::invalid_client);
    let id = decode(&id)?;
    let secret = secret
        .map(|secret| decode(secret.expose_secret()))
        .transpose()?;
    // A client_id alone says who asks, not how it proves that; many libraries send it along.
    let is_other = form.client_id.as_ref().is_some_and(|other| *other != id);
    if form.client_secret.is_some() || is_other {
        return Err(OauthError::invalid_request(
            "The client gives credentials in the header and in the body.",
        ));
    }
    Ok((Some(id), secret))
}

/// Queries end up in logs of every proxy; a client that puts its secret there must learn it at once.
fn refuse_query(query: &str) -> Result<(), OauthError> {
    let mut form = Form::default();
    let is_ours = |pair: &str| {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        decoded(name).is_some_and(|name| form.place(&name).is_some())
    };
    if query.split('&').any(is_ours) {
        return Err(OauthError::invalid_request(
            "The parameters belong in the body, not in the query.",
        ));
    }
    Ok(())
}

/// As everywhere, a body without a type is a form.
fn check_media_type(wire: &Wire<'_>) -> Result<(), OauthError> {
    let Some(value) = wire.headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let essence = value.to_str().ok().and_then(|text| text.split(';').next());
    if essence.is_some_and(|essence| {
        essence
            .trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    }) {
        return Ok(());
    }
    Err(OauthError::from(&Error::refused(
        Code::UnsupportedMediaType,
    )))
}

impl Form {
    /// WHATWG form rules; other names are ignored, an empty value counts as absent (RFC 6749 §3.2).
    fn read(text: &str) -> Result<Form, OauthError> {
        let mut form = Form::default();
        for pair in text.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let Some(place) = decoded(name).and_then(|name| form.place(&name)) else {
                continue;
            };
            let value = decoded(value)
                .ok_or_else(|| OauthError::invalid_request("A value is not UTF-8."))?;
            if place.replace(value).is_some() {
                return Err(OauthError::invalid_request("A parameter is given twice."));
            }
        }
        for name in ["grant_type", "scope", "client_id", "client_secret"] {
            if let Some(place) = form.place(name) {
                place.take_if(|value| value.is_empty());
            }
        }
        Ok(form)
    }

    fn place(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "grant_type" => Some(&mut self.grant_type),
            "scope" => Some(&mut self.scope),
            "client_id" => Some(&mut self.client_id),
            "client_secret" => Some(&mut self.client_secret),
            _ => None,
        }
    }
}

fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    String::from_utf8(percent_decode_str(&spaced).collect()).ok()
}
