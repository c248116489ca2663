//! Host names that mean something inside a machine or a network, and nothing, or something else, outside.

/// The last labels of such names, in small letters.
const INSIDE: [&str; 19] = [
    // The machine itself (RFC 6761, 6.3), and what resolvers append by default.
    "localhost",
    "localdomain",
    // The local link by multicast (RFC 6762), and what people use in its place (appendix G there). ICANN keeps `internal`
    // for private use, and has put `corp`, `home` and `mail` off for ever, because networks use them.
    "local",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "mail",
    // Home networks (RFC 8375), and the reverse tree beside it, which names addresses and no hosts.
    "arpa",
    // Services of a Kubernetes cluster, `name.namespace.svc`; whole they end in `cluster.local`. Consul's.
    "svc",
    "consul",
    // Names that a router or a directory gives out.
    "localnet",
    "domain",
    "workgroup",
    // Names that the public DNS will never hold and that are resolved inside all the same (RFC 6761, RFC 7686, RFC 9476).
    // `example` and `invalid` are resolved nowhere, so that they name nothing inside.
    "test",
    "onion",
    "alt",
];

/// Whether the name can be one of the public DNS. Such a name has a dot, since the resolver completes a single label by its
/// own search list; a dot at its end changes nothing.
pub(super) fn is_public(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name.rsplit_once('.')
        .is_some_and(|(_, last)| !INSIDE.contains(&last))
}
