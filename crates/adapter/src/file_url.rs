//! Decides which addresses and names are public and which are internal. It applies to URLs that callers let the chat service fetch,
//! and to URLs that operators let events be sent to.

mod names;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Returns whether the text is an http or https URL without userinfo whose host, as written, is not an internal address.
///
/// Names are not resolved, so the upstream has to check the address that a public name resolves to.
pub(crate) fn is_public_url(text: &str) -> bool {
    if text.bytes().any(|b| b == b' ' || b == b'\\') {
        return false;
    }
    let Ok(url) = Url::parse(text) else {
        return false;
    };
    // The URL parser also accepts `http:host` and `http:///host`, which other parsers read differently.
    let written_out = matches!(text.split_once("://"), Some((scheme, rest))
        if ["http", "https"].iter().any(|s| scheme.eq_ignore_ascii_case(s)) && !rest.starts_with('/'));
    let authority = text.split_once("://").map_or("", |(_, rest)| {
        rest.split(['/', '?', '#']).next().unwrap_or("")
    });
    written_out
        && !authority.contains('@')
        && url.host().is_some_and(|host| match host {
            Host::Ipv4(address) => is_public_v4(address),
            Host::Ipv6(address) => is_public_v6(address),
            Host::Domain(name) => is_public_name(name),
        })
}

/// Returns whether a name may lead to a public host. Such a name has several labels and does not end in a label for internal use.
/// The address that the name resolves to must be checked separately.
#[must_use]
pub fn is_public_name(name: &str) -> bool {
    names::is_public(name)
}

/// Returns whether an address is public. An IPv6 address that carries an IPv4 address is judged by the IPv4 address.
#[must_use]
pub fn is_public_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Azure's virtual public address (WireServer). It is outside the private networks and serves the machine's configuration.
const CLOUD_WIRE_SERVER: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || a == 0
        || (a == 100 && (64..128).contains(&b))
        || (a, b, c) == (192, 0, 0)
        // The relays of 6to4 (RFC 7526), and an address that answers on every machine of one of the large clouds.
        || (a, b, c) == (192, 88, 99)
        || address == CLOUD_WIRE_SERVER
        || (a == 198 && (b == 18 || b == 19))
        || a >= 224)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let v4_at = |i: usize| {
        let [a, b] = segments[i].to_be_bytes();
        let [c, d] = segments[i + 1].to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        // Mapped and compatible addresses, NAT64 (RFC 6052) and 6to4 (RFC 3056) carry an IPv4 address, which is judged instead.
        [0, 0, 0, 0, 0, 0xffff | 0, ..] => is_public_v4(v4_at(6)),
        [0x64, 0xff9b, 0, 0, 0, 0, ..] => is_public_v4(v4_at(6)),
        [0x64, 0xff9b, 1, ..] => false,
        [0x2002, ..] => is_public_v4(v4_at(1)),
        // The networks of IETF protocols (2001::/23) lead to no public host: Teredo, which hides its client's address,
        // benchmarking, ORCHID and others. Documentation networks belong to nobody.
        [0x2001, 0..0x200, ..] | [0x2001, 0xdb8, ..] | [0x3fff, ..] => false,
        // Only 2000::/3 is allocated as global unicast.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::is_public_url;

    #[test]
    fn public_urls_are_accepted() {
        for url in [
            "https://files.example.com/a.png",
            "http://example.com:8080/a?b=c#d",
            "HTTPS://EXAMPLE.COM/ä.png",
            "https://93.184.216.34/x",
            "https://[2606:2800:220:1::1]/x",
            "https://[2001:200::1]/x",
            "https://[::ffff:93.184.216.34]/x",
            "https://[64:ff9b::93.184.216.34]/x",
            "https://[2002:5db8:d822::1]/x",
            "https://example.com/user@host",
            "https://example.com./a.png",
            "https://svc.example.com/",
            "https://local.example.net/",
            "https://homes.dev/",
            "https://bücher.de/a",
            "https://xn--bcher-kva.de/a",
            "https://例え.テスト/a",
            "https://default.example.com/",
            "https://1.1.1.1.example.com/",
        ] {
            assert!(is_public_url(url), "{url}");
        }
    }

    #[test]
    fn malformed_and_internal_urls_are_rejected() {
        for url in [
            "",
            "example.com/a.png",
            "ftp://example.com/a",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "http:example.com",
            "http:///example.com",
            "https://",
            "https://user@example.com/",
            "https://user:pw@example.com/",
            "https://@example.com/",
            " https://example.com/",
            "https://example.com/a b",
            "https:\\\\example.com\\a",
            "https://example.com\\a",
            "http://kubernetes.default/",
            "https://KUBERNETES.DEFAULT./",
            "http://kube-dns.kube-system/",
            "http://web.team1/",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "http://printer.local/",
            "http://metadata.google.internal/",
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0177.0.0.1/",
            "http://0x7f.1/",
            "http://0/",
            "http://１２７.0.0.1/",
            "http://[::1]/",
            "http://[::]/",
            "http://[::ffff:10.0.0.1]/",
            "http://[::7f00:1]/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://[64:ff9b::10.0.0.1]/",
            "http://[64:ff9b:1::1]/",
            "http://[2002:7f00:1::]/",
            "http://[2002:a00:5db8:d822::]/",
            "http://[2001::1]/",
            "http://[2001:db8::1]/",
            "http://[2001:2::1]/",
            "http://[2001:10::1]/",
            "http://[2001:1ff:ffff::1]/",
            "http://[3fff::1]/",
            "http://168.63.129.16/machine?comp=goalstate",
            "http://[::ffff:168.63.129.16]/",
            "http://[100::1]/",
            "http://[4000::1]/",
            "http://[ff02::1]/",
        ] {
            assert!(!is_public_url(url), "{url}");
        }
    }

    #[test]
    fn urls_with_addresses_of_non_public_networks_are_rejected() {
        for address in [
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.255.255",
            "192.0.0.8",
            "192.88.99.1",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "198.18.0.1",
            "198.19.255.255",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            assert!(
                !is_public_url(&format!("http://{address}/latest/")),
                "{address}"
            );
        }
    }

    #[test]
    fn internal_host_names_and_unusual_number_notations_are_rejected() {
        for url in [
            "http://intranet/",
            "http://intranet./",
            "http://intranet..:8080/",
            "http://api.default.svc/",
            "http://api.default.svc.cluster.local./",
            "http://nas.LAN/",
            "http://a.localdomain/",
            "http://a.localnet/",
            "http://a.domain/",
            "http://a.workgroup/",
            "http://a.mail/",
            "http://a.test/",
            "http://a.alt/",
            "http://wiki.corp./",
            "http://tv.home/",
            "http://tv.home.arpa/",
            "http://a.private/",
            "http://a.intranet/",
            "http://vault.service.consul/",
            "http://host.docker.internal/",
            "http://a.onion/",
            "http://%6cocalhost/",
            "http://nas%2elan/",
            "http://nas\u{3002}lan/",
            "http://nas.\u{ff4c}AN/",
            "http://\u{24d2}orp/",
            "http://nas.l\u{ad}an/",
            "http://xn--/",
            "http://127.0.0.1./",
            "http://0x7f000001/",
            "http://017700000001/",
            "http://0x7f.0x1/",
            "http://127.0.0.0x1/",
            "http://%31%32%37.1/",
            "http://1.2.3.4.5/",
            "http://[::ffff:7f00:1]/",
        ] {
            assert!(!is_public_url(url), "{url}");
        }
    }
}
