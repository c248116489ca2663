//! Networks: deny first, then allow, and whoever is on no list stays out.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

/// Two lists. Addresses are compared in canonical form: `::ffff:a.b.c.d` is `a.b.c.d`.
#[derive(Clone, Debug, Default)]
pub struct Networks {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
}

/// Why an address gets in or not, with the network that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A network of the allow list holds it.
    Allowed(IpNet),
    /// A network of the deny list holds it.
    Denied(IpNet),
    /// No network holds it.
    Unlisted,
}

impl Networks {
    /// Takes both lists; empty ones let nobody in.
    #[must_use]
    pub fn new(allow: Vec<IpNet>, deny: Vec<IpNet>) -> Networks {
        Networks { allow, deny }
    }

    /// Judges an address.
    #[must_use]
    pub fn judge(&self, address: IpAddr) -> Verdict {
        judge(&self.allow, &self.deny, address)
    }
}

/// Judges an address by two lists.
#[must_use]
pub fn judge(allow: &[IpNet], deny: &[IpNet], address: IpAddr) -> Verdict {
    let address = address.to_canonical();
    let holder = |networks: &[IpNet]| {
        networks
            .iter()
            .find(|network| network.contains(&address))
            .copied()
    };
    match (holder(deny), holder(allow)) {
        (Some(network), _) => Verdict::Denied(network),
        (None, Some(network)) => Verdict::Allowed(network),
        (None, None) => Verdict::Unlisted,
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Allowed(network) => write!(f, "allowed by {network}"),
            Verdict::Denied(network) => write!(f, "denied by {network}"),
            Verdict::Unlisted => f.write_str("on no list"),
        }
    }
}

#[cfg(test)]
mod tests {
    use store::parse_network;

    use super::*;

    #[track_caller]
    fn check(allow: &[&str], deny: &[&str], address: &str, expected: &str) {
        let nets = |list: &[&str]| {
            list.iter()
                .map(|text| parse_network(text).unwrap())
                .collect()
        };
        let verdict = Networks::new(nets(allow), nets(deny)).judge(address.parse().unwrap());
        assert_eq!(verdict.to_string(), expected);
    }

    #[test]
    fn deny_goes_first_and_absence_refuses() {
        check(&["10.0.0.0/8"], &[], "10.1.2.3", "allowed by 10.0.0.0/8");
        check(
            &["10.0.0.0/8"],
            &["10.1.0.0/16"],
            "10.1.2.3",
            "denied by 10.1.0.0/16",
        );
        check(&["10.0.0.0/8"], &[], "11.0.0.1", "on no list");
        check(&[], &[], "127.0.0.1", "on no list");
        check(&["::/0"], &[], "10.0.0.1", "on no list");
        check(
            &["2001:db8::/32"],
            &[],
            "2001:db8::1",
            "allowed by 2001:db8::/32",
        );
    }

    #[test]
    fn mapped_addresses_are_their_ipv4_selves() {
        check(
            &["10.0.0.0/8"],
            &[],
            "::ffff:10.0.0.1",
            "allowed by 10.0.0.0/8",
        );
        check(
            &["0.0.0.0/0"],
            &["10.0.0.1"],
            "::ffff:10.0.0.1",
            "denied by 10.0.0.1/32",
        );
    }
}
