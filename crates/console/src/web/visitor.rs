//! Who asks for a page, and whether they may.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};
use secrecy::SecretString;
use store::Role;
use url::form_urlencoded;

use super::page;
use super::session::Session;
use crate::Console;
use crate::problem::Problem;

/// The name of the cookie that holds a session's id. By TLS browsers take one with this prefix from nobody else, neither from
/// a neighbour's host nor without TLS (RFC 6265bis, 4.1.3.2); without TLS they take none that has it.
pub(super) fn cookie_name(console: &Console) -> &'static str {
    if console.gateway.admin_has_tls() {
        "__Host-chatgate_session"
    } else {
        "chatgate_session"
    }
}

/// Somebody who is signed in.
pub(super) struct Visitor {
    session: Session,
}

/// Why there is no page.
pub(super) enum Refusal {
    /// Nobody is signed in; they may be, and come back here.
    SignIn(Option<String>),
    /// Anything else.
    Problem(Problem),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Refusal {
        Refusal::Problem(problem)
    }
}

impl From<store::ChangeError> for Refusal {
    fn from(error: store::ChangeError) -> Refusal {
        Refusal::Problem(error.into())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Refusal::SignIn(None) => page::see_other("/console/sign-in"),
            Refusal::SignIn(Some(next)) => {
                let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
                page::see_other(&format!("/console/sign-in?next={next}"))
            }
            Refusal::Problem(problem) => page::refused(&problem),
        }
    }
}

impl Visitor {
    /// The visitor who keeps something open; that is no use of the session.
    pub(super) fn listening(console: &Console, headers: &HeaderMap) -> Option<Visitor> {
        Visitor::found(console, headers, false)
    }

    /// The visitor whose session the request names; `is_use` if that puts off its end.
    pub(super) fn found(console: &Console, headers: &HeaderMap, is_use: bool) -> Option<Visitor> {
        let id = session_id(console, headers)?;
        let keys = console.store.admin_keys();
        let asked = (keys.as_slice(), console.now(), is_use);
        let session = console.sessions.find(&console.hasher, &id, asked)?;
        Some(Visitor { session })
    }

    /// The name of the key, if it may change things.
    pub(super) fn operator(&self) -> Result<&str, Problem> {
        match self.session.key.role {
            Role::Operator => Ok(&self.session.key.name),
            Role::Viewer => {
                let text = "This key may look and not change.";
                Err(Problem::new(StatusCode::FORBIDDEN, "viewer", text))
            }
        }
    }

    /// The name of the key.
    pub(super) fn name(&self) -> &str {
        &self.session.key.name
    }

    /// What its forms carry.
    pub(super) fn token(&self) -> &str {
        &self.session.token
    }

    /// What it may do.
    pub(super) fn role(&self) -> Role {
        self.session.key.role
    }
}

/// The name of the key behind the session that the request names; asking puts off no end.
pub(crate) fn signed_in(console: &Console, headers: &HeaderMap) -> Option<String> {
    let visitor = Visitor::found(console, headers, false)?;
    Some(visitor.session.key.name)
}

/// The id in the cookie. Of two, which a neighbour on the same host may have set, neither is taken.
pub(super) fn session_id(console: &Console, headers: &HeaderMap) -> Option<SecretString> {
    let ours = cookie_name(console);
    let lines = headers.get_all(header::COOKIE).iter();
    let texts = lines.filter_map(|line| line.to_str().ok());
    let pairs = texts
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.split_once('='));
    let mut ours = pairs.filter(|(name, _)| name.trim() == ours);
    match (ours.next(), ours.next()) {
        (Some((_, id)), None) => Some(id.trim().into()),
        _ => None,
    }
}

/// Refuses a form that a browser says comes from elsewhere. What is no browser says nothing, and has no cookie to be misused.
pub(super) fn from_here(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = text(header::HeaderName::from_static("sec-fetch-site"));
    let host = text(header::HOST);
    let is_ours = |origin: &str| {
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        authority.is_some() && authority == host
    };
    let is_near = site.is_none_or(|site| matches!(site, "same-origin" | "none"));
    if is_near && text(header::ORIGIN).is_none_or(is_ours) {
        return Ok(());
    }
    let text = "The form was sent from another site.";
    Err(Problem::new(StatusCode::FORBIDDEN, "origin", text))
}

/// Whether two texts are the same, in a time that tells nothing of where they differ.
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    let differing = one
        .iter()
        .zip(other)
        .fold(0, |found, (a, b)| found | (a ^ b));
    one.len() == other.len() && differing == 0
}
