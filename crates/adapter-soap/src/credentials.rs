//! Reads the caller's credentials from elements of the call, the HTTP header, or a UsernameToken. More than one of these is an
//! error.

use adapter::{
    Authorization, Code, Credentials, Error, Params, SoapDialect, Wire, read_authorization,
};
use secrecy::ExposeSecret;

use crate::envelope::{SoapEnvelope, WSSE};
use crate::xml::Element;

/// A name and a password as given; either may be absent.
type UserAndPassword = (Option<String>, Option<String>);

/// Reads the credentials, and records in `dialect` whether they were in the envelope.
///
/// # Errors
/// INCORRECT_PARAM for credentials of more than one kind, MISSING_USER for none, and the errors of [`Credentials::password`].
pub(crate) fn read(
    wire: &Wire<'_>,
    envelope: &SoapEnvelope<'_>,
    params: &mut Params,
    dialect: &mut SoapDialect,
) -> Result<Credentials, Error> {
    let authorization = match read_authorization(wire.headers)? {
        None | Some(Authorization::Other) => None,
        Some(known) => Some(known),
    };
    let user = params.take_credential("user")?;
    let password = params.take_credential("password")?;
    let elements = (user.is_some() || password.is_some()).then_some((user, password));
    let token = username_token(envelope)?;
    match (authorization, elements, token) {
        (None, None, None) => Err(Error::refused(Code::MissingUser)),
        (Some(authorization), None, None) => of_header(authorization),
        (None, Some((user, password)), None) | (None, None, Some((user, password))) => {
            dialect.credentials_inside = true;
            Credentials::password(user, password)
        }
        _ => Err(Error::incorrect(
            "Credentials of more than one kind are given.",
        )),
    }
}

fn of_header(authorization: Authorization) -> Result<Credentials, Error> {
    match authorization {
        Authorization::Basic(user, password) => Credentials::password(Some(user), password),
        Authorization::Bearer(token) if token.expose_secret().is_empty() => {
            Err(Error::refused(Code::MissingToken))
        }
        Authorization::Bearer(token) => Ok(Credentials::Token(token)),
        Authorization::BrokenBasic | Authorization::Other => {
            Err(Error::refused(Code::IncorrectUserPassword))
        }
    }
}

/// Returns the UsernameToken of the Security header, if there is one.
fn username_token(envelope: &SoapEnvelope<'_>) -> Result<Option<UserAndPassword>, Error> {
    let mut tokens = envelope
        .headers(WSSE, "Security")
        .flat_map(|security| &security.children)
        .filter(|child| child.name.is(WSSE, "UsernameToken"));
    let Some(token) = tokens.next() else {
        return Ok(None);
    };
    if tokens.next().is_some() {
        return Err(Error::incorrect("There is more than one UsernameToken."));
    }
    let user = only(token, "Username")?.map(|user| user.text.clone());
    let password = only(token, "Password")?.map(password_text).transpose()?;
    Ok(Some((user, password)))
}

/// Returns the child with this name. Two such children are an error, because the intended one would be unknown.
fn only<'e, 'a>(token: &'e Element<'a>, local: &str) -> Result<Option<&'e Element<'a>>, Error> {
    let mut found = token.children.iter().filter(|c| c.name.is(WSSE, local));
    let first = found.next();
    let is_flat = first.is_none_or(|element| element.children.is_empty());
    if found.next().is_some() || !is_flat {
        return Err(Error::incorrect("The UsernameToken is broken."));
    }
    Ok(first)
}

/// Returns the password. A digest is an error, because checking it requires the clear password.
fn password_text(password: &Element<'_>) -> Result<String, Error> {
    let kind = password.attribute("", "Type").map_or("", str::trim);
    if kind.is_empty() {
        return Ok(password.text.clone());
    }
    // The standard writes a URI with a fragment; clients also write the bare word, or a qualified name.
    match kind.rsplit_once(['#', ':']).map_or(kind, |(_, word)| word) {
        "PasswordText" => Ok(password.text.clone()),
        "PasswordDigest" => Err(Error::incorrect(
            "PasswordDigest is not supported; send PasswordText over TLS.",
        )),
        _ => Err(Error::incorrect("This type of password is not supported.")),
    }
}
