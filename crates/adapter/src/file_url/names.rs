//! Host names that have a meaning inside a machine or a network, and none, or another one, outside.

/// The last labels of such names, in lowercase.
const INSIDE: [&str; 20] = [
    // The machine itself (RFC 6761, 6.3), and a domain that resolvers append by default.
    "localhost",
    "localdomain",
    // The local link by multicast (RFC 6762), and the labels that people use instead (appendix G of that RFC). ICANN reserves
    // `internal` for private use and has deferred `corp`, `home` and `mail` indefinitely, because networks use them.
    "local",
    "internal",
    "intranet",
    "private",
    "corp",
    "home",
    "lan",
    "mail",
    // Home networks (`home.arpa`, RFC 8375), and the reverse trees of the same label, which name addresses and not hosts.
    "arpa",
    // Services of a Kubernetes cluster (`name.namespace.svc`, in full under `cluster.local`; inside it also `name.namespace`, as
    // `kubernetes.default`), and names of Consul.
    "svc",
    "default",
    "consul",
    // Names that routers or directories assign.
    "localnet",
    "domain",
    "workgroup",
    // Names that the public DNS will never contain and that some networks resolve nevertheless (RFC 6761, RFC 7686, RFC 9476).
    // `example` and `invalid` are not in the list, because nothing resolves them and so they name nothing internal.
    "test",
    "onion",
    "alt",
];

/// Returns whether the name can be a name of the public DNS. Such a name has a dot, because the resolver completes a single label
/// by its own search list. A trailing dot changes nothing.
pub(super) fn is_public(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    // A label of the root zone consists of letters, or is the encoded form of letters of other scripts (RFC 1123, 2.1; RFC 5891).
    let is_of_root = |last: &str| {
        last.starts_with("xn--") || last.bytes().all(|byte| byte.is_ascii_alphabetic())
    };
    name.rsplit_once('.')
        .is_some_and(|(_, last)| is_of_root(last) && !INSIDE.contains(&last))
}
