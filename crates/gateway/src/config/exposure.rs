//! Reads the settings that decide who can connect: addresses, networks and PROXY headers.

use std::net::{IpAddr, SocketAddr};

use forward::allowlist::Networks;
use ipnet::IpNet;
use settings::Reader;
use store::{check_everybody, parse_access_network, parse_network};

use crate::client_addr::ForwardedHeader;

/// Returns whether only this machine can connect to the address.
pub(super) fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Returns whether the system cannot listen on both addresses at the same time: they are equal, or one of them stands for all
/// addresses of the machine.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let [a, b] = [one, other].map(|address| address.ip().to_canonical());
    // `[::]` also stands for all IPv4 addresses.
    let holds = |all: IpAddr, ip: IpAddr| all.is_unspecified() && (all.is_ipv6() || ip.is_ipv4());
    one.port() != 0 && one.port() == other.port() && (a == b || holds(a, b) || holds(b, a))
}

/// Rejects an embedded sandbox that other machines can call, unless the settings ask for it, because the sandbox answers "sent" to
/// messages that reach nobody.
pub(super) fn check_sandbox(reader: &mut Reader<'_>, listen: SocketAddr) {
    let is_wanted = reader.boolean("upstream.sandbox", "false");
    let has_upstream = ["url", "user", "password"].map(|name| format!("upstream.{name}"));
    let has_upstream = has_upstream.iter().any(|name| reader.is_set(name));
    if is_wanted && has_upstream {
        reader.reject(
            "upstream.sandbox",
            "it can't be true if an upstream is configured",
        );
    }
    if !is_wanted && !has_upstream && !is_loopback(listen) {
        reader.reject(
            "upstream.url",
            "the ways in are bound beyond loopback, but without an upstream the embedded sandbox would answer \"sent\" for \
             messages that reach nobody; set upstream.url, user and password, or upstream.sandbox = true (--sandbox) if you \
             want the sandbox",
        );
    }
}

/// Reads the networks from which the deployment accepts calls.
pub(super) fn networks(reader: &mut Reader<'_>) -> Networks {
    Networks::new(
        reader.texts("server.allow", &["0.0.0.0/0", "::/0"], parse_network),
        reader.texts("server.deny", &[], parse_network),
    )
}

/// Reads a list of networks in which everybody is written as `any`.
pub(super) fn access_networks(reader: &mut Reader<'_>, key: &str) -> Vec<IpNet> {
    let networks: Vec<Vec<IpNet>> = reader.texts(key, &[], parse_access_network);
    let networks = networks.concat();
    if let Err(wrong) = check_everybody(&networks) {
        reader.reject(key, &wrong);
    }
    networks
}

/// Reads the name of the header in which trusted proxies name the caller.
pub(super) fn forwarded_header(reader: &mut Reader<'_>) -> ForwardedHeader {
    let key = "server.forwarded_header";
    reader.text(key, "x-forwarded-for", ForwardedHeader::parse)
}

/// Reads whether every connection to the ways in has to begin with a PROXY header.
pub(super) fn proxy_protocol(reader: &mut Reader<'_>, trusted_proxies: &[IpNet]) -> bool {
    let key = "server.proxy_protocol";
    let is_on = reader.boolean(key, "false");
    if is_on && trusted_proxies.is_empty() {
        reader.reject(
            key,
            "without server.trusted_proxies no client could connect",
        );
    }
    is_on
}
/// Rejects an admin address whose connections the public listener would receive.
pub(super) fn check_ports(reader: &mut Reader<'_>, listen: SocketAddr, admin_listen: SocketAddr) {
    if collide(listen, admin_listen) {
        let text =
            format!("server.listen {listen} would receive its connections; set another port");
        reader.reject("server.admin_listen", &text);
    }
}
