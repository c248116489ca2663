//! The cookie that holds the id of a session.

use axum::response::Response;
use http::{HeaderMap, HeaderValue, header};
use secrecy::SecretString;

use crate::state::Console;

/// Returns the name of the cookie. Over TLS the prefix has browsers refuse it from a neighbour's host and without TLS (RFC
/// 6265bis, 4.1.3.2); without TLS they would refuse it altogether.
fn cookie_name(console: &Console) -> &'static str {
    if console.gateway.admin_has_tls() {
        "__Host-chatgate_session"
    } else {
        "chatgate_session"
    }
}

/// Returns the id in the cookie. Two cookies of the name, one of which a neighbour on the same host may have set, count as none.
pub(crate) fn session_id(console: &Console, headers: &HeaderMap) -> Option<SecretString> {
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

/// Sets the cookie; an empty id deletes it.
pub(crate) fn set_cookie(console: &Console, response: &mut Response, id: &str) {
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
