//! What is safe on one machine alone: the embedded sandbox, the demo access.

use std::net::SocketAddr;

use settings::{Reader, ValueKind, parse};

/// Whether only this machine can connect to it.
pub(super) fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Whether the first start makes the demo access, unless it is said: where nobody but this machine calls, and nobody but the
/// sandbox answers.
pub(super) fn demo(reader: &mut Reader<'_>, by_itself: bool) -> bool {
    let said = reader.optional("server.demo", ValueKind::Boolean, parse::boolean);
    said.unwrap_or(by_itself)
}

/// Asks for a word where the sandbox would answer callers from elsewhere: it says "sent" of what reaches nobody.
pub(super) fn check_sandbox(reader: &mut Reader<'_>, listen: SocketAddr) {
    let is_wanted = reader.boolean("upstream.sandbox", "false");
    let has_upstream = ["url", "user", "password"].map(|name| format!("upstream.{name}"));
    let has_upstream = has_upstream.iter().any(|name| reader.is_set(name));
    if is_wanted && has_upstream {
        reader.reject("upstream.sandbox", "it can't be true beside an upstream");
    }
    if !is_wanted && !has_upstream && !is_loopback(listen) {
        reader.reject(
            "upstream.url",
            "the ways in are bound beyond loopback, and without an upstream the embedded sandbox would answer \"sent\" for \
             what reaches nobody; set upstream.url, user and password, or upstream.sandbox = true (--sandbox) where the \
             sandbox is wanted",
        );
    }
}
