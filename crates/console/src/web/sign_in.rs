//! The sign-in page, and signing out.

use std::net::SocketAddr;

use askama::Template;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Request, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};
use store::find_presented;

use crate::audit::notes::OpenedSession;
use crate::state::{Console, ConsoleState};
use crate::web::assets;
use crate::web::cookie::{session_id, set_cookie};
use crate::web::extract::{SessionForm, check_origin};
use crate::web::fields::Fields;
use crate::web::layout::{HOME, PageLayout, html, see_other};
use crate::web::page_error::{ENDED, PageError, PageResult, SIGN_IN};
use crate::web::visitor::Visitor;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    layout: PageLayout,
    next: &'a str,
    /// True if a form was sent after the session had ended.
    has_ended: bool,
    wrong: Option<&'a str>,
}

impl SignInPage<'_> {
    fn new(next: &str) -> SignInPage<'_> {
        SignInPage {
            layout: PageLayout::outside("Sign in"),
            next,
            has_ended: false,
            wrong: None,
        }
    }
}

/// Shows the form that asks for the key.
pub(crate) async fn page(visitor: Result<Visitor, PageError>, fields: Fields) -> Response {
    let next = safe_next(fields.get("next"));
    match visitor {
        Ok(_) => see_other(next),
        Err(PageError::SignIn { .. }) => {
            let has_ended = fields.has(ENDED);
            let page = SignInPage {
                has_ended,
                ..SignInPage::new(next)
            };
            html(StatusCode::OK, &page)
        }
        Err(refused) => refused.into_response(),
    }
}

/// Checks the key and opens a session.
pub(crate) async fn sign_in(State(console): ConsoleState, request: Request<Body>) -> PageResult {
    let (head, body) = request.into_parts();
    check_origin(&head.headers)?;
    let fields = Fields::of_body(body).await?;
    let (now, next) = (console.now(), safe_next(fields.get("next")));
    // Compare the key before counting wrong keys, so that a right key is always accepted, regardless of the number of wrong keys.
    let secret: SecretString = fields.get("key").into();
    let Some(key) = find_presented(&console.store.admin_keys(), &console.hasher, &secret).cloned()
    else {
        let peer = head.extensions.get::<ConnectInfo<SocketAddr>>();
        let address = peer.map(|ConnectInfo(peer)| peer.ip());
        return Ok(wrong_key(console.note_wrong_key(address).await, next));
    };
    // Signing in again ends the old session.
    if let Some(old) = session_id(&console, &head.headers) {
        console.sessions.close(&old).await;
    }
    tracing::info!(target: "chatgate::change", actor = key.name, "signed in to the console");
    let signed_in = OpenedSession(key.name.clone());
    let id = console.sessions.open(key, now).await?;
    let mut response = see_other(next);
    set_cookie(&console, &mut response, id.expose_secret());
    response.extensions_mut().insert(signed_in);
    Ok(response)
}

/// Answers with the form again. `wait_s` is set if there were too many wrong keys, which are then no longer logged.
fn wrong_key(wait_s: Option<i64>, next: &str) -> Response {
    let form = |status, text| {
        let wrong = Some(text);
        let page = SignInPage {
            wrong,
            ..SignInPage::new(next)
        };
        html(status, &page)
    };
    let Some(wait_s) = wait_s else {
        tracing::warn!(target: "chatgate::change", "a wrong admin key at the console");
        return form(StatusCode::UNAUTHORIZED, "This is not an admin key.");
    };
    let text = "Too many wrong keys. Wait a minute, or enter the right key.";
    let mut response = form(StatusCode::TOO_MANY_REQUESTS, text);
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, wait_s.into());
    response
}

/// Ends this session.
pub(crate) async fn sign_out(
    State(console): ConsoleState,
    headers: HeaderMap,
    _form: SessionForm,
) -> Response {
    if let Some(id) = session_id(&console, &headers) {
        console.sessions.close(&id).await;
    }
    signed_out(&console)
}

/// Ends every session of this key.
pub(crate) async fn sign_out_everywhere(
    State(console): ConsoleState,
    form: SessionForm,
) -> Response {
    console.sessions.close_all_of(form.visitor.name()).await;
    signed_out(&console)
}

fn signed_out(console: &Console) -> Response {
    let mut response = see_other(SIGN_IN);
    set_cookie(console, &mut response, "");
    response
}

/// Returns the page to open after signing in. It is always one of our pages, whatever the query contains.
fn safe_next(next: &str) -> &str {
    let is_page = next.starts_with(HOME) && !next.starts_with(assets::FOLDER);
    let is_plain = next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if is_page && is_plain { next } else { HOME }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_in_redirects_only_to_console_pages() {
        assert_eq!(
            safe_next("/console/journal?access=a"),
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
            assert_eq!(safe_next(elsewhere), HOME, "{elsewhere}");
        }
    }
}
