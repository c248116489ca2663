//! Signing in with an admin key, and out again.

use std::net::SocketAddr;

use askama::Template;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use store::presented;

use super::door::{Sent, Shared};
use super::fields::Fields;
use super::page::{Shell, html, see_other};
use super::visitor::{Refusal, Visitor, cookie_name, from_here, session_id};
use super::{HOME, assets};
use crate::Console;
use crate::operator_rows::SignedIn;
use crate::problem::Problem;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignIn<'a> {
    shell: Shell,
    next: &'a str,
    wrong: Option<&'a str>,
}

/// Asks for the key.
pub(super) async fn page(visitor: Result<Visitor, Refusal>, fields: Fields) -> Response {
    let next = within(fields.get("next"));
    if visitor.is_ok() {
        return see_other(next);
    }
    form(StatusCode::OK, next, None)
}

fn form(status: StatusCode, next: &str, wrong: Option<&str>) -> Response {
    let shell = Shell::outside("Sign in");
    html(status, &SignIn { shell, next, wrong })
}

/// Takes the key and opens a session.
pub(super) async fn enter(
    State(console): Shared,
    request: Request<Body>,
) -> Result<Response, Refusal> {
    let (head, body) = request.into_parts();
    from_here(&head.headers)?;
    let fields = Fields::of_body(body).await?;
    let (now, next) = (console.now(), within(fields.get("next")));
    // The key is compared first: a right one is let in, however many wrong ones come from anywhere.
    let secret: SecretString = fields.get("key").into();
    let Some(key) = presented(&console.store.admin_keys(), &console.hasher, &secret).cloned()
    else {
        let peer = head.extensions.get::<ConnectInfo<SocketAddr>>();
        let address = peer.map(|ConnectInfo(peer)| peer.ip());
        return Ok(wrong_key(console.attempts.note_wrong(address, now), next));
    };
    // Whoever signs in again leaves nothing open behind.
    if let Some(old) = session_id(&console, &head.headers) {
        console.sessions.close(&console.hasher, &old);
    }
    tracing::info!(target: "chatgate::change", actor = key.name, "signed in to the console");
    let signed_in = SignedIn(key.name.clone());
    let opened = console.sessions.open(&console.hasher, key, now);
    let id = opened.map_err(|error| {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "failed",
            error.to_string(),
        )
    })?;
    let mut response = see_other(next);
    set_cookie(&console, &mut response, id.expose_secret());
    response.extensions_mut().insert(signed_in);
    Ok(response)
}

/// The page again; `wait_s` if there were too many wrong keys, of which the log then tells no more.
fn wrong_key(wait_s: Option<i64>, next: &str) -> Response {
    let Some(wait_s) = wait_s else {
        tracing::warn!(target: "chatgate::change", "a wrong admin key at the console");
        return form(
            StatusCode::UNAUTHORIZED,
            next,
            Some("This is no admin key."),
        );
    };
    let text = "Too many wrong keys. Wait a minute, or give the right one.";
    let mut response = form(StatusCode::TOO_MANY_REQUESTS, next, Some(text));
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, wait_s.into());
    response
}

/// Ends this session.
pub(super) async fn leave(State(console): Shared, headers: HeaderMap, _sent: Sent) -> Response {
    if let Some(id) = session_id(&console, &headers) {
        console.sessions.close(&console.hasher, &id);
    }
    left(&console)
}

/// Ends every session of this key.
pub(super) async fn leave_everywhere(State(console): Shared, sent: Sent) -> Response {
    console.sessions.close_all_of(sent.visitor.name());
    left(&console)
}

fn left(console: &Console) -> Response {
    let mut response = see_other("/console/sign-in");
    set_cookie(console, &mut response, "");
    response
}

/// An empty id takes the cookie away.
fn set_cookie(console: &Console, response: &mut Response, id: &str) {
    // A name with the prefix asks for this path.
    let scope = if console.gateway.admin_has_tls() {
        "Path=/; Secure"
    } else {
        "Path=/console"
    };
    let ends = if id.is_empty() { "; Max-Age=0" } else { "" };
    let name = cookie_name(console);
    let line = format!("{name}={id}; {scope}; HttpOnly; SameSite=Strict{ends}");
    if let Ok(mut value) = HeaderValue::try_from(line) {
        value.set_sensitive(true);
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
}

/// Where to go after signing in: to one of our pages, whatever the address says.
fn within(next: &str) -> &str {
    let is_page = next.starts_with(HOME) && !next.starts_with(assets::FOLDER);
    let is_plain = next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if is_page && is_plain { next } else { HOME }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere_after_signing_in() {
        assert_eq!(
            within("/console/journal?access=a"),
            "/console/journal?access=a"
        );
        for elsewhere in [
            "",
            "https://example.com/",
            "//example.com",
            "/\\example.com",
            "/console",
            "/console/\\x",
            "/admin/v1/status",
            "/console/a\r\nb",
        ] {
            assert_eq!(within(elsewhere), HOME, "{elsewhere}");
        }
    }
}
