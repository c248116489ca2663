//! Reads networks as people write them, and judges addresses, both of current calls and again of calls in the journal.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// Reads a network. Rejects host bits, because `10.1.2.3/8` may mean the network or the host.
///
/// # Errors
/// One sentence that says what to write instead.
pub fn parse_network(text: &str) -> Result<IpNet, String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let network: IpNet = text
        .parse()
        .map_err(|_| format!("{text} is not a network; write ADDRESS/BITS"))?;
    if network != network.trunc() {
        let (net, host) = (network.trunc(), IpNet::from(network.addr()));
        return Err(format!("{text} has host bits set; write {net} or {host}"));
    }
    match network {
        IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some() => Err(format!(
            "{text} is an IPv4 network mapped into IPv6; write it as IPv4"
        )),
        network => Ok(network),
    }
}

/// Returns the address by which a caller is counted: the /64 of an IPv6 address, because a caller owns at least a /64 and can change its
/// address within it at will, or an IPv4 address in its canonical form.
#[must_use]
pub fn counted_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

/// The networks that contain all addresses; `any` is stored and shown as these.
pub const EVERYBODY: [&str; 2] = ["0.0.0.0/0", "::/0"];

/// Reads a network of an access, or `any`, because a list that admits everybody must say so in words.
///
/// # Errors
/// One sentence that says what to write instead.
pub fn parse_access_network(text: &str) -> Result<Vec<IpNet>, String> {
    if text == "any" {
        let everybody = EVERYBODY.iter();
        return Ok(everybody.filter_map(|net| net.parse().ok()).collect());
    }
    match parse_network(text)? {
        network if network.prefix_len() == 0 => Err(format!(
            "{text} contains every address; write \"any\" if you mean that"
        )),
        network => Ok(vec![network]),
    }
}

/// Checks that a list does not admit everybody by several networks, such as `0.0.0.0/1` and `128.0.0.0/1`, instead of in words.
///
/// # Errors
/// One sentence that says what to write instead.
pub fn check_everybody(networks: &Vec<IpNet>) -> Result<(), String> {
    let is_everybody = |network: &IpNet| network.prefix_len() == 0;
    let joined = IpNet::aggregate(networks);
    match joined.iter().find(|network| is_everybody(network)) {
        Some(network) if !networks.contains(network) => Err(format!(
            "the networks together are {network}, which is everybody; write \"any\" if that is meant"
        )),
        _ => Ok(()),
    }
}

/// The decision on an address, with the network that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkDecision {
    /// A network of the allow list contains the address.
    Allowed(IpNet),
    /// A network of the deny list contains the address.
    Denied(IpNet),
    /// No network contains the address.
    Unlisted,
}

/// Judges an address by an allow list and a deny list.
#[must_use]
pub fn judge(allow: &[IpNet], deny: &[IpNet], address: IpAddr) -> NetworkDecision {
    let address = address.to_canonical();
    let holder = |networks: &[IpNet]| {
        networks
            .iter()
            .find(|network| network.contains(&address))
            .copied()
    };
    match (holder(deny), holder(allow)) {
        (Some(network), _) => NetworkDecision::Denied(network),
        (None, Some(network)) => NetworkDecision::Allowed(network),
        (None, None) => NetworkDecision::Unlisted,
    }
}

impl fmt::Display for NetworkDecision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetworkDecision::Allowed(network) => write!(f, "allowed by {network}"),
            NetworkDecision::Denied(network) => write!(f, "denied by {network}"),
            NetworkDecision::Unlisted => f.write_str("on no list"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ambiguous_networks_are_rejected() {
        let wrong = |text: &str| parse_network(text).unwrap_err();
        let host_bits = "10.1.2.3/8 has host bits set; write 10.0.0.0/8 or 10.1.2.3/32";
        assert_eq!(wrong("10.1.2.3/8"), host_bits);
        assert!(wrong("10.0.0.0/33").contains("not a network"));
        assert!(wrong("127.1").contains("not a network"));
        assert!(wrong("0177.0.0.1").contains("not a network"));
        assert!(wrong("fe80::1%eth0").contains("not a network"));
        assert!(wrong("::ffff:10.0.0.0/104").contains("write it as IPv4"));
    }

    #[test]
    fn covering_all_addresses_requires_the_word_any() {
        assert_eq!(parse_access_network("any").unwrap().len(), 2);
        assert!(
            parse_access_network("0.0.0.0/0")
                .unwrap_err()
                .contains("any")
        );
        assert!(parse_access_network("::/0").unwrap_err().contains("any"));
        let check = |texts: &[&str]| {
            let networks = texts.iter().map(|text| text.parse().unwrap());
            check_everybody(&networks.collect())
        };
        let halves = check(&["0.0.0.0/1", "192.0.0.0/2", "10.0.0.0/8", "128.0.0.0/2"]);
        assert!(halves.unwrap_err().contains("0.0.0.0/0"));
        assert!(check(&["::/1", "8000::/1"]).unwrap_err().contains("::/0"));
        for networks in [&["0.0.0.0/1", "192.0.0.0/2"][..], &EVERYBODY, &[]] {
            assert_eq!(check(networks), Ok(()));
        }
    }
}
