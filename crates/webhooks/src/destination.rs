//! Decides where deliveries may go, and guards inside addresses.
//!
//! The URL's text is checked when an operator sets it and before each attempt. The addresses to which the host resolves are checked
//! too, and only a checked address is dialled. A name that resolves differently the second time, or a redirect, therefore leads
//! nowhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use adapter::{is_public_address, is_public_name};
use ipnet::IpNet;
use url::{Host, Url};

/// Maximum length of a URL, in bytes.
const URL_BYTES_MAX: usize = 2048;

/// The ports that public receivers may use. Other ports belong to services that may act on whatever is sent to them.
const PORTS: [u16; 2] = [443, 8443];

/// The address at which cloud providers serve a machine's credentials.
const METADATA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));

/// The rules for the addresses that deliveries may go to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DestinationRules {
    /// Inside networks that are allowed nevertheless.
    pub allow_networks: Vec<IpNet>,
    /// The gateway's own listeners. Deliveries may not go there.
    pub own_listeners: Vec<SocketAddr>,
    /// Host and port under which callers reach the gateway, if known.
    pub own_name: Option<(String, u16)>,
}

/// A URL that deliveries may go to, provided that its host resolves to an allowed address.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    pub(crate) url: Url,
    /// True if the address has to be in an allowed network, because the URL has no TLS, another port, or a name that is used
    /// inside.
    is_inside: bool,
}

impl Destination {
    /// Checks the text of a URL.
    ///
    /// # Errors
    /// Returns a sentence for the operator that does not contain the URL.
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
        // The parser also accepts `https:host` and `https:///host`, which other parsers read differently.
        let rest = text.split_once("://").map_or("", |(_, rest)| rest);
        if !matches!(url.scheme(), "https" | "http") || rest.is_empty() || rest.starts_with('/') {
            return refused("write https://HOST/PATH");
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or("");
        if authority.contains('@') {
            return refused("it may not contain credentials");
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
            None => return refused("it has no host"),
        };
        let destination = destination(is_inside);
        if destination.may_dial(SocketAddr::new(address, port), rules) {
            Ok(destination)
        } else {
            refused(
                "deliveries may not go to this address and port: write https with port 443 or 8443 and a public address, or \
                 allow its network in webhooks.allow_networks",
            )
        }
    }

    /// Returns whether a delivery may go to an address to which the host resolves.
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
        return Err("deliveries may not go there: write https with port 443 or 8443 and a public host name, or allow its network \
                    in webhooks.allow_networks".to_owned());
    }
    Ok(destination)
}

/// Returns whether a configured network allows this address. A wide network does not allow this machine or a cloud's metadata
/// address, which have to be configured explicitly, nor an IPv6 address that contains an IPv4 address.
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

/// Returns whether an IPv6 address contains an IPv4 address: compatible addresses, NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056) and
/// Teredo (RFC 4380).
fn carries_v4(ip: Ipv6Addr) -> bool {
    matches!(
        ip.segments(),
        [0, 0, 0, 0, 0, 0, ..] | [0x64, 0xff9b, ..] | [0x2002, ..] | [0x2001, 0, ..]
    )
}

/// Returns whether an address belongs to one of our own listeners.
fn is_own(own: SocketAddr, ip: IpAddr, port: u16) -> bool {
    let listens = own.ip() == ip || (own.ip().is_unspecified() && is_of_this_machine(ip));
    own.port() == port && listens
}

/// Returns whether an address belongs to this machine. Only such an address can be bound; nothing is sent.
fn is_of_this_machine(ip: IpAddr) -> bool {
    ip.is_unspecified() || ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests;
