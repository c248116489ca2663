//! Who can connect: what only this machine may reach, and whether PROXY headers are required.

use std::net::SocketAddr;

use forward::allowlist::Networks;
use ipnet::IpNet;
use settings::Reader;
use store::parse_network;

/// Whether only this machine can connect to the address.
pub(super) fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Rejects an embedded sandbox that other machines can call, unless the settings ask for it: it answers "sent" to messages that
/// reach nobody.
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

/// Networks from which the deployment accepts calls.
pub(super) fn networks(reader: &mut Reader<'_>) -> Networks {
    Networks::new(
        reader.texts("server.allow", &["0.0.0.0/0", "::/0"], parse_network),
        reader.texts("server.deny", &[], parse_network),
    )
}

/// Whether every connection to the ways in has to begin with a PROXY header.
pub(super) fn proxy_protocol(reader: &mut Reader<'_>, trusted_proxies: &[IpNet]) -> bool {
    let key = "server.proxy_protocol";
    let is_on = reader.boolean(key, "false");
    if is_on && trusted_proxies.is_empty() {
        reader.reject(key, "without server.trusted_proxies nobody could connect");
    }
    is_on
}
