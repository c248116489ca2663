//! Lists of allowed and denied networks. Deny comes first, then allow; an address on neither list is rejected.

use std::net::IpAddr;

use ipnet::IpNet;

pub use store::{NetworkDecision, judge};

/// A list of allowed and a list of denied networks. Addresses are compared in canonical form: `::ffff:a.b.c.d` is `a.b.c.d`.
#[derive(Clone, Debug, Default)]
pub struct Networks {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
}

impl Networks {
    /// Takes both lists. Empty lists reject every address.
    #[must_use]
    pub fn new(allow: Vec<IpNet>, deny: Vec<IpNet>) -> Networks {
        Networks { allow, deny }
    }

    /// Decides whether an address is allowed.
    #[must_use]
    pub fn judge(&self, address: IpAddr) -> NetworkDecision {
        judge(&self.allow, &self.deny, address)
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
    fn denied_networks_take_precedence_and_unlisted_addresses_are_rejected() {
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
    fn ipv4_mapped_addresses_are_judged_as_ipv4() {
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
