//! Reads requests to the token endpoint: RFC 6749 §2.3.1, §3.2, §4.4.

use adapter::{
    Authorization, Code, Credentials, Error, FormPair, Wire, content_type, form_decoded,
    form_pairs, read_authorization,
};
use secrecy::{ExposeSecret, SecretString};

use crate::oauth::OauthError;

/// The parameters of this endpoint, each allowed at most once.
const NAMES: [&str; 4] = ["grant_type", "scope", "client_id", "client_secret"];

/// A client's request for a token. Debug prints no secret.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// The id that the client claims.
    pub client_id: String,
    /// The presented secret, within the limits of a password.
    pub client_secret: SecretString,
    /// The requested scope.
    pub scope: Option<String>,
}

/// Rejects a token request if the head alone decides that, whatever the body contains.
///
/// # Errors
/// The errors of [`read_token_request`] that do not depend on the body.
pub fn refuse_token_head(wire: &Wire<'_>) -> Result<(), OauthError> {
    // Queries appear in the logs of every proxy, so a client that puts its secret there must get an error immediately.
    if form_pairs(wire.query).any(|pair| index(pair).is_some()) {
        return Err(OauthError::invalid_request(
            "The parameters belong in the body, not in the query.",
        ));
    }
    check_media_type(wire)?;
    let header = read_authorization(wire.headers);
    header.map(drop).map_err(|error| OauthError::from(&error))
}

/// Reads a token request. The gateway has checked that it is a POST.
///
/// # Errors
/// `invalid_request`, `unsupported_grant_type`, or `invalid_client` if the credentials are missing or unreadable.
pub fn read_token_request(wire: &Wire<'_>) -> Result<TokenRequest, OauthError> {
    refuse_token_head(wire)?;
    let text = std::str::from_utf8(wire.body)
        .map_err(|_| OauthError::invalid_request("The form is not UTF-8."))?;
    let [grant_type, scope, client_id, client_secret] = read_form(text)?;
    let header = read_authorization(wire.headers).map_err(|error| OauthError::from(&error))?;
    match grant_type.as_deref() {
        None => {
            let text = "The parameter grant_type is missing.";
            return Err(OauthError::invalid_request(text));
        }
        Some("client_credentials") => {}
        Some(_) => return Err(OauthError::unsupported_grant_type()),
    }
    let (client_id, client_secret) = match header {
        None => (client_id, client_secret),
        Some(header) => header_client(header, client_id, client_secret.is_some())?,
    };
    // The limits and forbidden characters are those of user and password, for a secret from the header or the body.
    match Credentials::password(client_id, client_secret) {
        Ok(Credentials::Password { user, password }) => Ok(TokenRequest {
            client_id: user,
            client_secret: password,
            scope,
        }),
        Ok(Credentials::Token(_)) => Err(OauthError::invalid_client()),
        Err(error) if error.code() == Code::IncorrectParam => Err(OauthError::invalid_request(
            "The client_id or the client_secret is too long or contains control characters.",
        )),
        Err(error) => Err(OauthError::from(&error)),
    }
}

/// Returns the values of [`NAMES`]. Other names are ignored, and an empty value counts as absent (RFC 6749 §3.2).
fn read_form(text: &str) -> Result<[Option<String>; 4], OauthError> {
    let mut values: [Option<String>; 4] = Default::default();
    for pair in form_pairs(text) {
        let Some(index) = index(pair) else {
            continue;
        };
        let value = pair
            .value()
            .ok_or_else(|| OauthError::invalid_request("A value is not UTF-8."))?;
        if values[index].replace(value.into_owned()).is_some() {
            return Err(OauthError::invalid_request("A parameter is given twice."));
        }
    }
    Ok(values.map(|value| value.filter(|value| !value.is_empty())))
}

/// Returns the index of the pair's name in [`NAMES`].
fn index(pair: FormPair<'_>) -> Option<usize> {
    let name = pair.name()?;
    NAMES.iter().position(|known| *known == name)
}

/// Returns the id and the secret from the header, each form-decoded (RFC 6749 §2.3.1).
fn header_client(
    header: Authorization,
    id_in_body: Option<String>,
    has_secret_in_body: bool,
) -> Result<(Option<String>, Option<String>), OauthError> {
    let Authorization::Basic(id, secret) = header else {
        return Err(OauthError::invalid_client());
    };
    let decode = |half: &str| form_decoded(half).ok_or_else(OauthError::invalid_client);
    let id = decode(&id)?;
    let secret = secret
        .map(|secret| decode(secret.expose_secret()))
        .transpose()?;
    // The same client_id in the body is accepted, because it proves nothing and many libraries send it.
    if has_secret_in_body || id_in_body.is_some_and(|other| other != id) {
        return Err(OauthError::invalid_request(
            "The client sent credentials both in the header and in the body.",
        ));
    }
    Ok((Some(id), secret))
}

/// Rejects bodies other than forms. A body without a media type is a form, as on the other endpoints.
fn check_media_type(wire: &Wire<'_>) -> Result<(), OauthError> {
    let Some(value) = content_type(wire).map_err(|error| OauthError::from(&error))? else {
        return Ok(());
    };
    let essence = value.to_str().ok().and_then(|text| text.split(';').next());
    let is_form = |text: &str| {
        text.trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    };
    if essence.is_some_and(is_form) {
        return Ok(());
    }
    Err(OauthError::from(&Error::refused(
        Code::UnsupportedMediaType,
    )))
}
