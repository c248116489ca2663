//! The address table: which address calls over which listener with which headers, and whether the call is admitted. Each row is a
//! real call over a real socket and a question to `explain`. The log, the answer and the explanation have to agree.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;

use crate::harness::{Gateway, admin, skipped};

/// Name, allowed networks and denied networks of each access. The networks of `report` only report.
const ACCESSES: &str = "
    host     | 127.0.0.2/32                                        |
    pair     | 127.0.0.2/31                                        |
    loop     | 127.0.0.0/8, ::1/128                                |
    six      | ::1/128                                             |
    any      | any                                                 |
    none     |                                                     |
    denied   | any                                                 | 127.0.0.0/8
    but      | 127.0.0.0/8                                         | 127.0.0.2/32
    docs     | 203.0.113.0/24, 2001:db8::/32                       | 203.0.113.13/32
    half     | 203.0.113.0/25                                      |
    sixhost  | 2001:db8::1/128                                     |
    sixpair  | 2001:db8::2/127                                     |
    private  | 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7 |
    report   | 192.0.2.0/24                                        |
";

/// The listener and the settings of a gateway, and the rows that call it. A row has the peer, the header lines (`X:` for
/// `X-Forwarded-For`, `F:` for `Forwarded`, `¶` between two lines, `×N` repeats a hop), the access, the resolved address and the
/// reason of the refusal. An empty reason means that the call is admitted; the text after `would:` is the report of a list that
/// only reports.
const TABLES: [(&str, &str, &str); 9] = [
    (
        "127.0.0.1:0",
        r#"trusted_proxies = ["127.0.0.100/32", "10.0.0.0/8", "2001:db8:ff::/48"]
           deny = ["127.0.0.66/31", "203.0.113.66/32", "2001:db8:66::/48"]"#,
        "
    127.0.0.2   |                                         | host    | 127.0.0.2       |
    127.0.0.1   |                                         | host    | 127.0.0.1       | access networks: on no list
    127.0.0.3   |                                         | host    | 127.0.0.3       | access networks: on no list
    127.0.0.1   |                                         | pair    | 127.0.0.1       | access networks: on no list
    127.0.0.2   |                                         | pair    | 127.0.0.2       |
    127.0.0.3   |                                         | pair    | 127.0.0.3       |
    127.0.0.4   |                                         | pair    | 127.0.0.4       | access networks: on no list
    127.0.0.2   |                                         | any     | 127.0.0.2       |
    127.0.0.2   |                                         | none    | 127.0.0.2       | access networks: on no list
    127.0.0.2   |                                         | six     | 127.0.0.2       | access networks: on no list
    127.0.0.2   |                                         | denied  | 127.0.0.2       | access networks: denied by 127.0.0.0/8
    127.0.0.2   |                                         | but     | 127.0.0.2       | access networks: denied by 127.0.0.2/32
    127.0.0.3   |                                         | but     | 127.0.0.3       |
    127.0.0.66  |                                         | any     | 127.0.0.66      | deployment networks: denied by 127.0.0.66/31
    127.0.0.2   |                                         | report  | 127.0.0.2       | would: access networks: on no list
    127.0.0.67  |                                         | report  | 127.0.0.67      | deployment networks: denied by 127.0.0.66/31
    127.0.0.2   | X: 203.0.113.7                          | host    | 127.0.0.2       |
    127.0.0.2   | X: 203.0.113.7                          | docs    | 127.0.0.2       | access networks: on no list
    127.0.0.2   | X: garbage                              | host    | 127.0.0.2       |
    127.0.0.100 |                                         | loop    | 127.0.0.100     |
    127.0.0.100 |                                         | docs    | 127.0.0.100     | access networks: on no list
    127.0.0.100 | X: 203.0.113.7                          | docs    | 203.0.113.7     |
    127.0.0.100 | X: 203.0.113.13                         | docs    | 203.0.113.13    | access networks: denied by 203.0.113.13/32
    127.0.0.100 | X: 203.0.113.66                         | docs    | 203.0.113.66    | deployment networks: denied by 203.0.113.66/32
    127.0.0.100 | X: 192.0.2.255                          | report  | 192.0.2.255     |
    127.0.0.100 | X: 192.0.3.0                            | report  | 192.0.3.0       | would: access networks: on no list
    127.0.0.100 | X: 203.0.113.127                        | half    | 203.0.113.127   |
    127.0.0.100 | X: 203.0.113.128                        | half    | 203.0.113.128   | access networks: on no list
    127.0.0.100 | X: 203.0.113.7, 10.1.2.3                | docs    | 203.0.113.7     |
    127.0.0.100 | X: 203.0.113.7, 11.1.2.3                | docs    | 11.1.2.3        | access networks: on no list
    127.0.0.100 | X: 203.0.113.7, 127.0.0.100             | docs    | 203.0.113.7     |
    127.0.0.100 | X: 203.0.113.7, 2001:db8:ff::9          | docs    | 203.0.113.7     |
    127.0.0.100 | X: 6.6.6.6, 203.0.113.7                 | docs    | 203.0.113.7     |
    127.0.0.100 | X: 203.0.113.7, 6.6.6.6                 | docs    | 6.6.6.6         | access networks: on no list
    127.0.0.100 | X: 6.6.6.6 ¶ X: 203.0.113.7             | docs    | 203.0.113.7     |
    127.0.0.100 | X: 203.0.113.7 ¶ X: 6.6.6.6             | docs    | 6.6.6.6         | access networks: on no list
    127.0.0.100 | X: 203.0.113.7 ¶ X: 10.0.0.1 ¶ X: 10.0.0.2 | docs | 203.0.113.7     |
    127.0.0.100 | X: garbage ¶ X: 203.0.113.7             | docs    | 203.0.113.7     |
    127.0.0.100 | X: 203.0.113.7 ¶ X: garbage             | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | X: é ¶ X: 203.0.113.7                   | docs    | 203.0.113.7     |
    127.0.0.100 | X: 203.0.113.7 ¶ X: é                   | docs    | none            | unparsable_hop: the header is not text
    127.0.0.100 | X:     203.0.113.7   ,   10.0.0.1       | docs    | 203.0.113.7     |
    127.0.0.100 | X: 203.0.113. 7                         | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | X:                                      | docs    | 127.0.0.100     | access networks: on no list
    127.0.0.100 | X: , ,                                  | loop    | 127.0.0.100     |
    127.0.0.100 | X: 203.0.113.7,                         | docs    | 203.0.113.7     |
    127.0.0.100 | X: 203.0.113.7 , ,, ¶ X: ,              | docs    | 203.0.113.7     |
    127.0.0.100 | X: 203.0.113.7 ¶ X:                     | docs    | 203.0.113.7     |
    127.0.0.100 | X: 203.0.113.7, ×32                     | docs    | 203.0.113.7     |
    127.0.0.100 | X: 203.0.113.7, ×33                     | docs    | none            | unparsable_hop: too many empty elements
    127.0.0.100 | X: ×20 ¶ X: ×20                         | any     | none            | unparsable_hop: too many empty elements
    127.0.0.100 | X: 203.0.113.7, garbage,                | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | X: ,203.0.113.7                         | docs    | 203.0.113.7     |
    127.0.0.100 | X: 203.0.113.7,,10.0.0.1                | docs    | 203.0.113.7     |
    127.0.0.100 | X: 203.0.113.7:443                      | docs    | 203.0.113.7     |
    127.0.0.100 | X: 203.0.113.7:65536                    | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | X: 203.0.113.7:                         | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | X: 203.0.113.7:x                        | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | X: [203.0.113.7]                        | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | X: \"203.0.113.7\"                      | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | X: 2001:db8::1                          | docs    | 2001:db8::1     |
    127.0.0.100 | X: 2001:DB8:0::0001                     | docs    | 2001:db8::1     |
    127.0.0.100 | X: [2001:db8::1]                        | docs    | 2001:db8::1     |
    127.0.0.100 | X: [2001:db8::1]:443                    | docs    | 2001:db8::1     |
    127.0.0.100 | X: 2001:db8::1:443                      | docs    | 2001:db8::1:443 |
    127.0.0.100 | X: [2001:db8::1]443                     | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | X: [2001:db8::1                         | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | X: 2001:db9::1                          | docs    | 2001:db9::1     | access networks: on no list
    127.0.0.100 | X: fe80::1%eth0                         | any     | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | X: [fe80::1%25eth0]                     | any     | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | X: ::ffff:203.0.113.7                   | docs    | 203.0.113.7     |
    127.0.0.100 | X: ::ffff:cb00:7107                     | docs    | 203.0.113.7     |
    127.0.0.100 | X: [::ffff:203.0.113.13]:80             | docs    | 203.0.113.13    | access networks: denied by 203.0.113.13/32
    127.0.0.100 | X: ::203.0.113.7                        | docs    | ::cb00:7107     | access networks: on no list
    127.0.0.100 | X: 203.0.113.7, ::ffff:10.0.0.1         | docs    | 203.0.113.7     |
    127.0.0.100 | X: 203.0.113.007                        | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | X: 0313.0.113.7                         | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | X: 0xcb.0.113.7                         | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | X: 3405803783                           | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | X: 203.0.113                            | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | X: unknown                              | any     | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | X: 203.0.113.7, unknown                 | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | X: unknown, 203.0.113.7                 | docs    | 203.0.113.7     |
    127.0.0.100 | X: _hidden                              | any     | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | X: 203.0.113.7, 10.0.0.1×9              | docs    | 203.0.113.7     |
    127.0.0.100 | X: 203.0.113.7, 10.0.0.1×10             | docs    | none            | unparsable_hop: too many hops
    127.0.0.100 | X: 10.0.0.1×5 ¶ X: 10.0.0.1×6           | private | none            | unparsable_hop: too many hops
    127.0.0.100 | X: 10.0.0.9, 10.0.0.1                   | private | 10.0.0.9        |
    127.0.0.100 | X: 172.15.255.255                       | private | 172.15.255.255  | access networks: on no list
    127.0.0.100 | X: 172.16.0.0                           | private | 172.16.0.0      |
    127.0.0.100 | X: 172.31.255.255                       | private | 172.31.255.255  |
    127.0.0.100 | X: 172.32.0.0                           | private | 172.32.0.0      | access networks: on no list
    127.0.0.100 | X: ::ffff:192.168.0.1                   | private | 192.168.0.1     |
    127.0.0.100 | X: fdff::1                              | private | fdff::1         |
    127.0.0.100 | X: fe00::1                              | private | fe00::1         | access networks: on no list
    127.0.0.100 | F: for=203.0.113.7                      | docs    | 127.0.0.100     | access networks: on no list
    127.0.0.100 | F: for=6.6.6.6 ¶ X: 203.0.113.7         | docs    | 203.0.113.7     |
",
    ),
    (
        "127.0.0.1:0",
        r#"trusted_proxies = ["127.0.0.100/32", "10.0.0.0/8"]
           forwarded_header = "forwarded""#,
        r#"
    127.0.0.100 | F: for=203.0.113.7                      | docs    | 203.0.113.7     |
    127.0.0.100 | F: FOR=203.0.113.7;Proto=https          | docs    | 203.0.113.7     |
    127.0.0.100 | F: For="203.0.113.7:443"                | docs    | 203.0.113.7     |
    127.0.0.100 | F: for="[2001:db8::1]:443"              | docs    | 2001:db8::1     |
    127.0.0.100 | F: for="[2001:db8::1]"                  | docs    | 2001:db8::1     |
    127.0.0.100 | F: for="[::ffff:203.0.113.13]"          | docs    | 203.0.113.13    | access networks: denied by 203.0.113.13/32
    127.0.0.100 | F: for=203.0.113.7:443                  | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | F: for=2001:db8::1                      | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | F: for=[2001:db8::1]                    | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | F: for=203.0.113.7;for=203.0.113.7      | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | F: for=203.0.113.7;host="a,b;c";by=_x   | docs    | 203.0.113.7     |
    127.0.0.100 | F: for=6.6.6.6, for=203.0.113.7         | docs    | 203.0.113.7     |
    127.0.0.100 | F: for=203.0.113.7, for=6.6.6.6         | docs    | 6.6.6.6         | access networks: on no list
    127.0.0.100 | F: for=203.0.113.7 ¶ F: for="10.0.0.1:1" | docs   | 203.0.113.7     |
    127.0.0.100 | F: for=203.0.113.7 ¶ F: proto=https     | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | F: proto=https ¶ F: for=203.0.113.7     | docs    | 203.0.113.7     |
    127.0.0.100 | F: for=unknown                          | any     | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | F: for="_hidden:_port"                  | any     | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | F: for=                                 | any     | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | F: for="203.0.113.7                     | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | F: for="203.0.113\.7"                   | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | F: for=203.0.113.7,                     | docs    | 203.0.113.7     |
    127.0.0.100 | F: for=203.0.113.7;, ,for=10.0.0.1;;by=_x, | docs | 203.0.113.7     |
    127.0.0.100 | F: for=203.0.113.7,;                    | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | F: for=203.0.113.7;garbage              | docs    | none            | unparsable_hop: a hop is not an address
    127.0.0.100 | F: for=203.0.113.7, for=10.0.0.1×9      | docs    | 203.0.113.7     |
    127.0.0.100 | X: 203.0.113.7                          | docs    | 127.0.0.100     | access networks: on no list
    127.0.0.100 | X: 6.6.6.6 ¶ F: for=203.0.113.7         | docs    | 203.0.113.7     |
    127.0.0.2   | F: for=203.0.113.7                      | host    | 127.0.0.2       |
"#,
    ),
    (
        "[::1]:0",
        r#"trusted_proxies = ["::1/128", "10.0.0.0/8"]
           deny = ["2001:db8:66::/48"]"#,
        "
    ::1         |                                         | six     | ::1             |
    ::1         |                                         | loop    | ::1             |
    ::1         |                                         | host    | ::1             | access networks: on no list
    ::1         |                                         | denied  | ::1             |
    ::1         | X: 0:0:0:0:0:0:0:1                      | six     | ::1             |
    ::1         | X: 127.0.0.2                            | host    | 127.0.0.2       |
    ::1         | X: ::ffff:127.0.0.2                     | denied  | 127.0.0.2       | access networks: denied by 127.0.0.0/8
    ::1         | X: 2001:db8::1, [::1]:9, 10.0.0.1       | sixhost | 2001:db8::1     |
    ::1         | X: 2001:db8::                           | sixhost | 2001:db8::      | access networks: on no list
    ::1         | X: 2001:db8::2                          | sixhost | 2001:db8::2     | access networks: on no list
    ::1         | X: 2001:db8::1                          | sixpair | 2001:db8::1     | access networks: on no list
    ::1         | X: 2001:db8::2                          | sixpair | 2001:db8::2     |
    ::1         | X: 2001:db8::3                          | sixpair | 2001:db8::3     |
    ::1         | X: 2001:db8::4                          | sixpair | 2001:db8::4     | access networks: on no list
    ::1         | X: 2001:db8:66:ffff::1                  | any     | 2001:db8:66:ffff::1 | deployment networks: denied by 2001:db8:66::/48
    ::1         | X: 2001:db8:67::                        | any     | 2001:db8:67::   |
    ::1         | X: fe80::1%lo                           | any     | none            | unparsable_hop: a hop is not an address
",
    ),
    (
        "[::1]:0",
        r#"allow = ["::/0"]"#,
        "
    ::1         |                                         | any     | ::1             |
    ::1         |                                         | none    | ::1             | access networks: on no list
    ::1         | X: 203.0.113.7                          | six     | ::1             |
    ::1         | X: 203.0.113.7                          | report  | ::1             | would: access networks: on no list
",
    ),
    (
        "[::]:0",
        r#"trusted_proxies = ["127.0.0.100/32"]
           deny = ["127.0.0.66/32"]"#,
        "
    ::ffff:127.0.0.2   |                                  | host    | 127.0.0.2       |
    ::ffff:127.0.0.3   |                                  | host    | 127.0.0.3       | access networks: on no list
    ::ffff:127.0.0.2   |                                  | six     | 127.0.0.2       | access networks: on no list
    ::ffff:127.0.0.3   |                                  | pair    | 127.0.0.3       |
    ::ffff:127.0.0.2   |                                  | denied  | 127.0.0.2       | access networks: denied by 127.0.0.0/8
    ::ffff:127.0.0.66  |                                  | any     | 127.0.0.66      | deployment networks: denied by 127.0.0.66/32
    ::ffff:127.0.0.2   | X: 203.0.113.7                   | docs    | 127.0.0.2       | access networks: on no list
    ::ffff:127.0.0.100 | X: 203.0.113.7                   | docs    | 203.0.113.7     |
    ::ffff:127.0.0.100 | X: 203.0.113.7, ::ffff:127.0.0.100 | docs  | 203.0.113.7     |
    ::ffff:127.0.0.100 | X: ::ffff:203.0.113.13           | docs    | 203.0.113.13    | access networks: denied by 203.0.113.13/32
    ::ffff:127.0.0.100 | X: _x                            | any     | none            | unparsable_hop: a hop is not an address
    ::1                |                                  | six     | ::1             |
    ::1                |                                  | host    | ::1             | access networks: on no list
    ::1                | X: 127.0.0.2                     | host    | ::1             | access networks: on no list
",
    ),
    (
        "[::]:0",
        r#"allow = ["::/0"]"#,
        "
    ::ffff:127.0.0.2   |                                  | any     | 127.0.0.2       | deployment networks: on no list
    ::1                |                                  | any     | ::1             |
",
    ),
    (
        "[::]:0",
        r#"allow = ["0.0.0.0/0"]"#,
        "
    ::ffff:127.0.0.2   |                                  | any     | 127.0.0.2       |
    ::1                |                                  | any     | ::1             | deployment networks: on no list
",
    ),
    (
        "127.0.0.1:0",
        r#"allow = []
           trusted_proxies = ["127.0.0.100/32"]"#,
        "
    127.0.0.1   |                                         | any     | 127.0.0.1       | deployment networks: on no list
    127.0.0.100 | X: 203.0.113.7                          | docs    | 203.0.113.7     | deployment networks: on no list
",
    ),
    // Each call comes through a proxy that names the row's peer.
    (
        "127.0.0.1:0",
        r#"proxy_protocol = true
           trusted_proxies = ["127.0.0.100/32", "203.0.113.200/32"]"#,
        "
    203.0.113.7        |                                  | docs    | 203.0.113.7     |
    192.0.2.7          |                                  | docs    | 192.0.2.7       | access networks: on no list
    2001:db8::7        |                                  | docs    | 2001:db8::7     |
    ::ffff:203.0.113.13 |                                 | docs    | 203.0.113.13    | access networks: denied by 203.0.113.13/32
    203.0.113.7        | X: 6.6.6.6                       | docs    | 203.0.113.7     |
    203.0.113.200      | X: 6.6.6.6                       | docs    | 6.6.6.6         | access networks: on no list
",
    ),
];

/// The source of every connection that begins with a PROXY header.
const PROXY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 100));

struct Row {
    peer: IpAddr,
    lines: Vec<(&'static str, String)>,
    access: &'static str,
    /// The expected result, in the order of the fields of [`Outcome`].
    expected: Outcome,
}

/// The result of a call: code, resolved address, reason, and the refusal that a list would have caused if it did not only report.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    code: String,
    address: String,
    reason: String,
    would_refuse: String,
}

fn rows(table: &'static str) -> Vec<Row> {
    let lines = table.lines().filter(|line| !line.trim().is_empty());
    let mut rows: Vec<Row> = lines.map(row).collect();
    // Refusals of one address are counted together, so each call without a resolved address comes through its own proxy.
    for (row, n) in rows.iter_mut().zip(1..) {
        if row.peer == PROXY && row.expected.address == "none" {
            row.peer = IpAddr::from([127, 0, 100, n]);
        }
    }
    rows
}

fn row(line: &'static str) -> Row {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let [peer, headers, access, address, reason] = cells[..] else {
        panic!("five cells: {line}");
    };
    let written = headers.split('¶').filter(|line| !line.trim().is_empty());
    let (would_refuse, reason) = match reason.strip_prefix("would: ") {
        Some(would) => (would, ""),
        None => ("", reason),
    };
    Row {
        peer: peer.parse().unwrap(),
        lines: written.map(header).collect(),
        access,
        expected: Outcome {
            code: if reason.is_empty() {
                ""
            } else {
                "IP_NOT_ALLOWED"
            }
            .to_owned(),
            address: address.to_owned(),
            reason: reason.to_owned(),
            would_refuse: would_refuse.to_owned(),
        },
    }
}

fn header(written: &str) -> (&'static str, String) {
    let (name, value) = written.trim().split_once(':').unwrap();
    let name = match name {
        "X" => "X-Forwarded-For",
        "F" => "Forwarded",
        other => panic!("{other} is no header of this table"),
    };
    let hops = value.split(',').map(|hop| match hop.split_once('×') {
        Some((hop, times)) => vec![hop; times.parse().unwrap()].join(","),
        None => hop.to_owned(),
    });
    (name, hops.collect::<Vec<_>>().join(","))
}

/// Creates the accesses on a gateway and returns the secret of each.
async fn make_accesses(gateway: &Gateway) -> BTreeMap<&'static str, String> {
    let mut secrets = BTreeMap::new();
    for line in ACCESSES.lines().filter(|line| !line.trim().is_empty()) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let list = |cell: &str| -> Vec<String> {
            let networks = cell.split(", ").filter(|network| !network.is_empty());
            networks.map(str::to_owned).collect()
        };
        let name = cells[0];
        let report: &[&str] = if name == "report" { &["networks"] } else { &[] };
        let draft = json!({
            "name": name, "allow": list(cells[1]), "deny": list(cells[2]), "report": report,
        });
        let made = admin(gateway, Method::POST, "accesses", &draft).await;
        assert_eq!(made.status, 201, "{}", made.body);
        let secret = made.json()["password"].as_str().unwrap().to_owned();
        secrets.insert(name, secret);
    }
    secrets
}

/// Makes the call of a row over its own socket and returns the code of the answer.
async fn called(gateway: &Gateway, row: &Row, secret: &str, id: &str) -> String {
    let names_peer = std::fs::read_to_string(gateway.folder.path().join("chatgate.toml"))
        .unwrap()
        .contains("proxy_protocol");
    let source = if names_peer {
        PROXY
    } else {
        row.peer.to_canonical()
    };
    let (socket, target) = match source {
        IpAddr::V4(_) => (TcpSocket::new_v4().unwrap(), IpAddr::from([127, 0, 0, 1])),
        IpAddr::V6(_) => (TcpSocket::new_v6().unwrap(), Ipv6Addr::LOCALHOST.into()),
    };
    socket.bind(SocketAddr::new(source, 0)).unwrap();
    let target = SocketAddr::new(target, gateway.public.port());
    let mut stream = socket.connect(target).await.unwrap();
    let proxy_line = match row.peer {
        _ if !names_peer => String::new(),
        IpAddr::V4(peer) => format!("PROXY TCP4 {peer} 198.51.100.1 1 2\r\n"),
        IpAddr::V6(peer) => format!("PROXY TCP6 {peer} 2001:db8:9::1 1 2\r\n"),
    };
    let headers: String = row
        .lines
        .iter()
        .map(|(name, value)| format!("{name}:{value}\r\n"))
        .collect();
    let body = format!(
        "class=chat&method=getchatchannels&user={}&password={secret}",
        row.access
    );
    let call = format!(
        "{proxy_line}POST /api/http/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Request-ID: {id}\r\n\
         {headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(call.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    body["error"].as_str().unwrap_or_default().to_owned()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Returns the address, or `none`.
fn address(value: &Value) -> String {
    value.as_str().unwrap_or("none").to_owned()
}

fn by_log(logged: &Value) -> Outcome {
    Outcome {
        code: text(&logged["code"]),
        address: address(&logged["client"]),
        reason: text(&logged["cause"]),
        would_refuse: text(&logged["would_refuse"]),
    }
}

fn by_explain(explained: &Value) -> Outcome {
    let judgements = explained["judgements"].as_array().unwrap();
    let reported = judgements.iter().find(|j| !j["would_refuse"].is_null());
    let reported = reported.filter(|_| explained["admitted"] == true);
    Outcome {
        code: text(&explained["code"]),
        address: address(&explained["address"]),
        reason: text(&explained["reason"]),
        would_refuse: reported.map_or_else(String::new, |judgement| {
            format!("{}: {}", text(&judgement["rule"]), text(&judgement["says"]))
        }),
    }
}

/// Checks one row: the answer, the log line and the explanation match the table, and log line and explanation show the same walk.
async fn check(gateway: &Gateway, row: &Row, secret: &str, id: &str) {
    let what = format!("{} {:?} {}", row.peer, row.lines, row.access);
    let answered = called(gateway, row, secret, id).await;
    assert_eq!(answered, row.expected.code, "{what}");
    let logged = gateway.logged(id);
    assert_eq!(by_log(&logged), row.expected, "the log: {what}");
    let peer: SocketAddr = logged["peer"].as_str().unwrap().parse().unwrap();
    assert_eq!(peer.ip(), row.peer, "the peer as the listener sees it");
    let question = json!({
        "peer": row.peer, "headers": row.lines, "access": row.access, "method": "getchatchannels",
    });
    let explained = admin(gateway, Method::POST, "explain", &question).await;
    assert_eq!(explained.status, 200, "{}", explained.body);
    let explained = explained.json();
    assert_eq!(by_explain(&explained), row.expected, "explain: {what}");
    assert_eq!(
        explained["admitted"],
        row.expected.code.is_empty(),
        "{what}"
    );
    let is_beyond_the_peer = explained["steps"].as_array().unwrap().len() > 1;
    let walk = if is_beyond_the_peer && !row.expected.code.is_empty() {
        &explained["walk"]
    } else {
        &json!("")
    };
    assert_eq!(&logged["walk"], walk, "{what}");
}

#[tokio::test]
async fn answer_log_line_and_explain_agree_on_every_row_of_the_address_table() {
    let has_ipv6 = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    let mut right = BTreeMap::<&str, usize>::new();
    let is_missing = |listen: &str| listen.starts_with('[') && !has_ipv6;
    if !has_ipv6 {
        skipped("this machine has no IPv6");
    }
    for (listen, server, table) in TABLES {
        let rows = rows(table);
        if is_missing(listen) {
            continue;
        }
        let more_proxies = "\"127.0.0.100/32\", \"127.0.100.0/24\"";
        let server = server.replace("\"127.0.0.100/32\"", more_proxies);
        let gateway = Gateway::listening(listen, &format!("[server]\n{server}\n"));
        let secrets = make_accesses(&gateway).await;
        for (n, row) in rows.iter().enumerate() {
            check(&gateway, row, &secrets[row.access], &format!("row-{n}-")).await;
            *right.entry(listen).or_default() += 1;
        }
    }
    let all: usize = right.values().sum();
    println!("address table: {all} rows right, by listener {right:?}");
    let there = TABLES.iter().filter(|(listen, ..)| !is_missing(listen));
    let wanted: usize = there.map(|(.., table)| rows(table).len()).sum();
    assert_eq!(all, wanted);
    assert!(!has_ipv6 || all >= 80, "{all}");
}
