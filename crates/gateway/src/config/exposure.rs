//! Who can connect: what only this machine may reach, and whether PROXY headers are required.

use std::net::{IpAddr, SocketAddr};

use forward::allowlist::Networks;
use ipnet::IpNet;
use settings::Reader;
use store::parse_network;

use crate::client_addr::ForwardedHeader;

/// Whether only this machine can connect to the address.
pub(super) fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Whether both can't be listened on at once: one address, or one of them is every address of the machine.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let [a, b] = [one, other].map(|address| address.ip().to_canonical());
    // `[::]` takes IPv4 as well.
    let holds = |all: IpAddr, ip: IpAddr| all.is_unspecified() && (all.is_ipv6() || ip.is_ipv4());
    one.port() != 0 && one.port() == other.port() && (a == b || holds(a, b) || holds(b, a))
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

/// The one header in which trusted proxies name the caller.
pub(super) fn forwarded_header(reader: &mut Reader<'_>) -> ForwardedHeader {
    let key = "server.forwarded_header";
    reader.text(key, "x-forwarded-for", ForwardedHeader::parse)
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
/// Refuses an operators' side whose connections the ways in would take.
pub(super) fn check_ports(reader: &mut Reader<'_>, listen: SocketAddr, admin_listen: SocketAddr) {
    if collide(listen, admin_listen) {
        let text =
            format!("{listen}, which is server.listen, takes its connections; set another port");
        reader.reject("server.admin_listen", &text);
    }
}
