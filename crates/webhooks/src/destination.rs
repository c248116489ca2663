//! Where deliveries may go: the guard against addresses inside.
//!
//! A URL is judged as it is written, when an operator sets it and before each attempt; its host is judged as it is resolved, and what was
//! judged is dialled. So a name that leads elsewhere at the second look, or a redirect, leads nowhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use adapter::{is_public_address, is_public_name};
use ipnet::IpNet;
use url::{Host, Url};

/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 2048;

/// Ports that receivers of the world may listen on: others are those of services that answer whatever is sent to them.
const PORTS: [u16; 2] = [443, 8443];

/// Where clouds hand out the credentials of a machine.
const METADATA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));

/// Which addresses deliveries may go to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DestinationRules {
    /// Networks that are allowed although they are inside.
    pub allow_networks: Vec<IpNet>,
    /// The gateway's own listeners, which no delivery goes to.
    pub own_listeners: Vec<SocketAddr>,
    /// Host and port under which callers reach the gateway, if that is known.
    pub own_name: Option<(String, u16)>,
}

/// A URL that deliveries may go to, if its host leads to an address that they may go to.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) url: Url,
    /// Whether only the allowed networks will do: without TLS, at another port, or by a name that is used inside.
    is_inside: bool,
}

impl Destination {
    /// Judges a URL as it is written.
    ///
    /// # Errors
    /// A sentence for the operator, without the URL.
    pub(crate) fn parse(text: &str, rules: &DestinationRules) -> Result<Destination, String> {
        let refused = |text: &str| Err(text.to_owned());
        if text.len() > URL_BYTES_MAX {
            return Err(format!("it is longer than {URL_BYTES_MAX} bytes"));
        }
        if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
            return refused("write it in ASCII, without spaces and backslashes");
        }
        let Ok(url) = Url::parse(text) else {
            return refused("it is not a URL");
        };
        // The parser also takes `https:host` and `https:///host`; other parsers read them differently.
        let rest = text.split_once("://").map_or("", |(_, rest)| rest);
        if !matches!(url.scheme(), "https" | "http") || rest.is_empty() || rest.starts_with('/') {
            return refused("write https://HOST/PATH");
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
        if authority.contains('@') {
            return refused("it may not carry credentials");
        }
        if url.fragment().is_some() {
            return refused("it may not have a fragment");
        }
        let port = url.port_or_known_default().unwrap_or_default();
        let is_inside = url.scheme() == "http" || !PORTS.contains(&port);
        let destination = |is_inside| Destination {
            url: url.clone(),
            is_inside,
        };
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(name)) => {
                return by_name(
                    name,
                    port,
                    rules,
                    destination(is_inside || !is_public_name(name)),
                );
            }
            None => return refused("it names no host"),
        };
        let destination = destination(is_inside);
        if destination.may_dial(SocketAddr::new(address, port), rules) {
            Ok(destination)
        } else {
            refused(
                "deliveries may not go to this address and port: write https with port 443 or 8443 and an address of the \
                world, or allow its network in webhooks.allow_networks",
            )
        }
    }

    /// Judges an address that its host leads to.
    pub(crate) fn may_dial(&self, address: SocketAddr, rules: &DestinationRules) -> bool {
        let ip = address.ip().to_canonical();
        if rules
            .own_listeners
            .iter()
            .any(|own| is_own(*own, ip, address.port()))
        {
            return false;
        }
        rules
            .allow_networks
            .iter()
            .any(|network| allows(network, ip))
            || (!self.is_inside && is_public_address(ip))
    }
}

fn by_name(
    name: &str,
    port: u16,
    rules: &DestinationRules,
    destination: Destination,
) -> Result<Destination, String> {
    let name = name.trim_end_matches('.');
    let is_own =
        |(own, own_port): &(String, u16)| name.eq_ignore_ascii_case(own) && port == *own_port;
    if rules.own_name.as_ref().is_some_and(is_own) {
        return Err("it is this gateway itself".to_owned());
    }
    if destination.is_inside && rules.allow_networks.is_empty() {
        return Err("deliveries may not go there: write https with port 443 or 8443 and a name of the world, or allow its \
            network in webhooks.allow_networks".to_owned());
    }
    Ok(destination)
}

/// Whether a network that the configuration names allows this address. A wide one allows neither this machine nor a cloud's metadata,
/// which have to be written to the letter, nor an IPv6 address that carries an IPv4 address.
fn allows(network: &IpNet, ip: IpAddr) -> bool {
    if !network.contains(&ip) {
        return false;
    }
    let is_written = match ip {
        METADATA => network.prefix_len() == 32,
        IpAddr::V4(ip) if ip.is_loopback() => network.prefix_len() >= 8,
        IpAddr::V4(ip) => !ip.is_unspecified(),
        IpAddr::V6(ip) if ip.is_loopback() => network.prefix_len() == 128,
        IpAddr::V6(ip) => !carries_v4(ip),
    };
    is_written && !ip.is_multicast()
}

/// Compatible addresses, NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056) and Teredo (RFC 4380).
fn carries_v4(ip: Ipv6Addr) -> bool {
    matches!(
        ip.segments(),
        [0, 0, 0, 0, 0, 0, ..] | [0x64, 0xff9b, ..] | [0x2002, ..] | [0x2001, 0, ..]
    )
}

/// Whether an address is that of a listener of ours.
fn is_own(own: SocketAddr, ip: IpAddr, port: u16) -> bool {
    let listens = own.ip() == ip || (own.ip().is_unspecified() && is_of_this_machine(ip));
    own.port() == port && listens
}

/// Only an address of this machine can be bound; nothing is sent.
fn is_of_this_machine(ip: IpAddr) -> bool {
    ip.is_unspecified() || ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests;
