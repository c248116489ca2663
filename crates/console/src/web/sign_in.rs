//! Signing in with an admin key, and out again.

use std::sync::{Mutex, PoisonError};

use askama::Template;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use store::presented;

use super::door::{Sent, Shared};
use super::fields::Fields;
use super::page::{Shell, html, see_other};
use super::visitor::{COOKIE, Refusal, Visitor, from_here, session_id};
use super::{HOME, assets};
use crate::Console;
use crate::problem::Problem;

/// Wrong keys in a minute; beyond that nobody signs in, while the admin API goes on. A key has 256 bits: this bounds what
/// guessing costs us, not what it yields.
const WRONG_PER_MINUTE: u32 = 30;

/// Seconds of a minute.
const MINUTE_S: i64 = 60;

/// Counts wrong keys.
#[derive(Default)]
pub(crate) struct Attempts(Mutex<(i64, u32)>);

impl Attempts {
    /// How long to wait, in seconds, if there were too many.
    fn wait_s(&self, now: i64) -> Option<i64> {
        let (minute, wrong) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = minute == now / MINUTE_S && wrong >= WRONG_PER_MINUTE;
        is_over.then(|| MINUTE_S - now % MINUTE_S)
    }

    fn note_wrong(&self, now: i64) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.0 != now / MINUTE_S {
            *counted = (now / MINUTE_S, 0);
        }
        counted.1 = counted.1.saturating_add(1);
    }
}

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
    if let Some(wait_s) = console.attempts.wait_s(now) {
        let text = "Too many wrong keys. Wait a minute.";
        let mut response = form(StatusCode::TOO_MANY_REQUESTS, next, Some(text));
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, wait_s.into());
        return Ok(response);
    }
    let secret: SecretString = fields.get("key").into();
    let Some(key) = presented(&console.store.admin_keys(), &console.hasher, &secret).cloned()
    else {
        console.attempts.note_wrong(now);
        tracing::warn!(target: "chatgate::change", "a wrong admin key at the console");
        return Ok(form(
            StatusCode::UNAUTHORIZED,
            next,
            Some("This is no admin key."),
        ));
    };
    // Whoever signs in again leaves nothing open behind.
    if let Some(old) = session_id(&head.headers) {
        console.sessions.close(&console.hasher, &old);
    }
    tracing::info!(target: "chatgate::change", actor = key.name, "signed in to the console");
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
    Ok(response)
}

/// Ends this session.
pub(super) async fn leave(State(console): Shared, headers: HeaderMap, _sent: Sent) -> Response {
    if let Some(id) = session_id(&headers) {
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
    let secure = if console.gateway.admin_has_tls() {
        "; Secure"
    } else {
        ""
    };
    let ends = if id.is_empty() { "; Max-Age=0" } else { "" };
    let line = format!("{COOKIE}={id}; Path=/console; HttpOnly; SameSite=Strict{secure}{ends}");
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

    #[test]
    fn wrong_keys_are_counted_by_the_minute() {
        let attempts = Attempts::default();
        let now = 1_700_000_040;
        for _ in 0..WRONG_PER_MINUTE {
            assert_eq!(attempts.wait_s(now), None);
            attempts.note_wrong(now);
        }
        assert_eq!(attempts.wait_s(now), Some(MINUTE_S - now % MINUTE_S));
        assert_eq!(attempts.wait_s(now + MINUTE_S), None);
    }
}
