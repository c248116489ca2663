//! Tables of allowed and rejected addresses.

use super::*;

/// URLs that lead inside by their text, regardless of name resolution.
const REFUSED: [&str; 62] = [
    "http://hooks.example.com/in",
    "ftp://hooks.example.com/",
    "file:///etc/passwd",
    "https:hooks.example.com",
    "https:///hooks.example.com",
    "https://",
    "https://hooks.example.com:22/",
    "https://hooks.example.com:6379/",
    "https://hooks.example.com:80/",
    "https://user@hooks.example.com/",
    "https://user:pw@hooks.example.com/",
    "https://hooks.example.com@127.0.0.1/",
    "https://hooks.example.com/#part",
    "https://hooks.example.com\\@127.0.0.1/",
    "https://hooks.example.com/a b",
    "https://localhost/",
    "https://LOCALHOST./",
    "https://a.localhost/",
    "https://intranet/",
    "https://nas.lan./",
    "https://metadata.google.internal/",
    "https://vault.service.consul/",
    "https://api.default.svc.cluster.local/",
    "https://127.0.0.1/",
    "https://127.0.0.1./",
    "https://127.1/",
    "https://2130706433/",
    "https://0177.0.0.1/",
    "https://0x7f.1/",
    "https://0x7f000001/",
    "https://017700000001/",
    "https://0/",
    "https://\u{ff11}\u{ff12}\u{ff17}.0.0.1/",
    "https://%31%32%37.0.0.1/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.1.1:8443/",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://0xa9fea9fe/",
    "https://168.63.129.16/",
    "https://192.0.0.8/",
    "https://192.88.99.1/",
    "https://198.18.0.1/",
    "https://203.0.113.1/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://[::1]/",
    "https://[::]/",
    "https://[::7f00:1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:10.0.0.1]/",
    "https://[::ffff:a9fe:a9fe]/",
    "https://[64:ff9b::10.0.0.1]/",
    "https://[64:ff9b:1::1]/",
    "https://[2002:7f00:1::]/",
    "https://[2001::1]/",
    "https://[2001:db8::1]/",
    "https://[fd00:ec2::254]/",
    "https://[fe80::1]/",
    "https://[fec0::1]/",
    "https://[ff02::1]/",
];

/// Inside addresses to which a name may resolve.
const INSIDE: [&str; 12] = [
    "127.0.0.1",
    "10.1.2.3",
    "169.254.169.254",
    "168.63.129.16",
    "0.0.0.0",
    "::1",
    "::ffff:192.168.0.1",
    "64:ff9b::7f00:1",
    "2002:a00:1::",
    "2001:0:1::",
    "fd12::1",
    "fe80::1",
];

#[test]
fn urls_with_inside_or_unsafe_destinations_are_rejected() {
    let rules = DestinationRules::default();
    let taken: Vec<_> = REFUSED
        .into_iter()
        .filter(|url| Destination::parse(url, &rules).is_ok())
        .collect();
    assert!(taken.is_empty(), "{taken:?}");
    let long = format!("https://hooks.example.com/{}", "a".repeat(URL_BYTES_MAX));
    assert!(Destination::parse(&long, &rules).is_err());
    // The error text goes to logs and answers, so it must not contain the URL.
    for url in REFUSED {
        let said = Destination::parse(url, &rules).err().unwrap();
        assert!(!said.contains("127.0") && !said.contains("pw@"), "{said}");
    }
}

#[test]
fn public_urls_are_accepted_but_not_dialed_at_inside_addresses() {
    let rules = DestinationRules::default();
    for url in [
        "https://hooks.example.com/in?key=1",
        "https://hooks.example.com./",
        "https://hooks.example.com:8443/",
        "https://93.184.216.34/",
        "https://[2606:2800:220:1::1]/",
        "https://xn--bcher-kva.de/",
        "https://127.0.0.1.example.com/",
    ] {
        let destination = Destination::parse(url, &rules).unwrap();
        let dial =
            |ip: &str| destination.may_dial(SocketAddr::new(ip.parse().unwrap(), 443), &rules);
        assert!(dial("93.184.216.34") && dial("2606:2800:220:1::1"), "{url}");
        for inside in INSIDE {
            assert!(!dial(inside), "{url} at {inside}");
        }
    }
}

#[track_caller]
fn check(networks: &[&str], url: &str, address: &str, expected: bool) {
    let rules = DestinationRules {
        allow_networks: networks.iter().map(|net| net.parse().unwrap()).collect(),
        ..DestinationRules::default()
    };
    let parsed = Destination::parse(url, &rules);
    let may = parsed.is_ok_and(|to| to.may_dial(address.parse().unwrap(), &rules));
    assert_eq!(may, expected, "{networks:?} {url} {address}");
}

#[test]
fn an_allowed_network_permits_only_its_own_addresses() {
    let lan = &["10.1.0.0/16"];
    check(lan, "http://10.1.2.3:9000/", "10.1.2.3:9000", true);
    check(lan, "http://nas.lan:9000/", "10.1.2.3:9000", true);
    check(lan, "http://nas.lan:9000/", "10.2.2.3:9000", false);
    check(lan, "http://nas.lan:9000/", "[::ffff:10.1.2.3]:9000", true);
    // An allowed network does not open public addresses without TLS or at another port.
    check(lan, "http://hooks.example.com/", "93.184.216.34:80", false);
    check(
        lan,
        "https://hooks.example.com:22/",
        "93.184.216.34:22",
        false,
    );
    check(lan, "https://hooks.example.com/", "93.184.216.34:443", true);
    check(lan, "https://hooks.example.com/", "127.0.0.1:443", false);
    let all = &["0.0.0.0/0", "::/0"];
    check(all, "http://10.1.2.3/", "10.1.2.3:80", true);
    check(all, "https://nas.lan/", "169.254.169.254:443", false);
    check(all, "https://nas.lan/", "127.0.0.1:443", false);
    check(all, "https://nas.lan/", "[::1]:443", false);
    check(all, "https://nas.lan/", "[64:ff9b::a00:1]:443", false);
    check(all, "https://nas.lan/", "[2002:a00:1::]:443", false);
    check(all, "https://nas.lan/", "224.0.0.1:443", false);
    let letter = &["169.254.169.254/32", "127.0.0.0/8", "::1/128"];
    check(letter, "http://nas.lan/", "169.254.169.254:80", true);
    check(letter, "http://127.0.0.1:9/", "127.0.0.1:9", true);
    check(letter, "http://[::1]:9/", "[::1]:9", true);
}

#[test]
fn destinations_that_are_the_gateway_itself_are_rejected() {
    let rules = DestinationRules {
        allow_networks: vec!["127.0.0.0/8".parse().unwrap()],
        own_listeners: vec![
            "127.0.0.1:8080".parse().unwrap(),
            "0.0.0.0:8081".parse().unwrap(),
        ],
        own_name: Some(("chat.example.com".to_owned(), 443)),
    };
    for (url, expected) in [
        ("http://127.0.0.1:8080/", false),
        ("http://[::ffff:127.0.0.1]:8080/", false),
        ("http://127.0.0.7:8081/", false),
        ("http://127.0.0.7:8080/", true),
        ("https://chat.example.com/api", false),
        ("https://CHAT.example.com./api", false),
        ("https://chat.example.com:8443/api", true),
    ] {
        assert_eq!(Destination::parse(url, &rules).is_ok(), expected, "{url}");
    }
}
