//! The cookie that contains the id of a session.

use axum::response::Response;
use cookie::time::Duration;
use cookie::{Cookie, SameSite};
use http::{HeaderMap, HeaderValue, header};
use secrecy::SecretString;

use crate::state::Console;

/// Returns the name of the cookie. Over TLS the name has a prefix with which browsers reject the cookie from a neighbouring host
/// and over plain HTTP (RFC 6265bis, 4.1.3.2). Without TLS browsers would reject the prefix in every case.
fn cookie_name(console: &Console) -> &'static str {
    if console.gateway.admin_has_tls() {
        "__Host-chatgate_session"
    } else {
        "chatgate_session"
    }
}

/// Returns the id in the cookie. Ignores two cookies with the same name, because a neighbour on the same host may have set one of
/// them.
pub(crate) fn session_id(console: &Console, headers: &HeaderMap) -> Option<SecretString> {
    let name = cookie_name(console);
    let lines = headers.get_all(header::COOKIE).iter();
    let cookies = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(Cookie::split_parse)
        .filter_map(Result::ok);
    let mut ours = cookies.filter(|cookie| cookie.name() == name);
    match (ours.next(), ours.next()) {
        (Some(cookie), None) => Some(cookie.value().into()),
        _ => None,
    }
}

/// Sets the cookie. An empty id deletes it.
pub(crate) fn set_cookie(console: &Console, response: &mut Response, id: &str) {
    let has_tls = console.gateway.admin_has_tls();
    let mut cookie = Cookie::new(cookie_name(console), id);
    // Browsers accept a name with the prefix only with this path and `Secure`.
    cookie.set_path(if has_tls { "/" } else { "/console" });
    cookie.set_secure(has_tls);
    cookie.set_http_only(true);
    cookie.set_same_site(SameSite::Strict);
    if id.is_empty() {
        cookie.set_max_age(Duration::ZERO);
    }
    if let Ok(mut value) = HeaderValue::try_from(cookie.to_string()) {
        value.set_sensitive(true);
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
}
