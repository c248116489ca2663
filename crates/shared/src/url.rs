//! The URL of the server of shared counts, and how it is parsed.

use url::Url;

/// Default port of Valkey and Redis.
const SERVER_PORT: u16 = 6379;

/// Default port of Sentinel.
const SENTINEL_PORT: u16 = 26_379;

/// The URL of the server: `redis://host`, `rediss://` with TLS; `redis+sentinel://host,host/service`; `redis+cluster://host,host`.
/// `valkey` and `valkeys` mean the same as `redis` and `rediss`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ValkeyUrl {
    pub(crate) has_tls: bool,
    pub(crate) place: ValkeyTopology,
    /// Hosts and ports, in the order in which they are tried.
    pub(crate) hosts: Vec<(String, u16)>,
}

/// The kind of server at the hosts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ValkeyTopology {
    /// Servers, one of which is writable, and the number of the database there.
    Servers(i64),
    /// Sentinels that know the server by this service name.
    Sentinels(String),
    /// Nodes of a cluster.
    Cluster,
}

impl ValkeyUrl {
    /// Parses a URL.
    ///
    /// # Errors
    /// A sentence for the user. It repeats no part of the URL, because the URL may hold a secret.
    pub fn parse(text: &str) -> Result<ValkeyUrl, String> {
        let wrong = "write redis://HOST:PORT, redis+sentinel://HOST,HOST/NAME or redis+cluster://HOST,HOST; rediss for TLS";
        let (scheme, rest) = text.split_once("://").ok_or(wrong)?;
        let (protocol, form) = scheme.split_once('+').unwrap_or((scheme, ""));
        let has_tls = match protocol {
            "redis" | "valkey" => false,
            "rediss" | "valkeys" => true,
            _ => return Err(wrong.to_owned()),
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        if hosts.contains('@') {
            return Err(
                "user and password have settings of their own, shared.user and shared.password"
                    .to_owned(),
            );
        }
        let place = match (form, path) {
            ("", "") => ValkeyTopology::Servers(0),
            ("", number) => ValkeyTopology::Servers(
                number
                    .parse()
                    .map_err(|_| "write the number of a database after the /")?,
            ),
            ("sentinel", "") => {
                return Err(
                    "write the name by which Sentinel knows the server after the /".to_owned(),
                );
            }
            ("sentinel", name) => ValkeyTopology::Sentinels(name.to_owned()),
            ("cluster", "") => ValkeyTopology::Cluster,
            ("cluster", _) => {
                return Err(
                    "write nothing after the /, because a cluster has one database and no name"
                        .to_owned(),
                );
            }
            _ => return Err(wrong.to_owned()),
        };
        let port = match place {
            ValkeyTopology::Sentinels(_) => SENTINEL_PORT,
            ValkeyTopology::Servers(_) | ValkeyTopology::Cluster => SERVER_PORT,
        };
        let hosts = hosts.split(',').map(|part| host(part, port));
        Ok(ValkeyUrl {
            has_tls,
            place,
            hosts: hosts.collect::<Result<_, _>>()?,
        })
    }
}

/// Parses a host with or without a port. An IPv6 address stands in brackets.
fn host(text: &str, usual_port: u16) -> Result<(String, u16), String> {
    let wrong = || "write each host as HOST or HOST:PORT, an IPv6 address in brackets".to_owned();
    // The URL parser drops default ports of schemes that it knows. It does not know this scheme, so it keeps every port.
    let url = Url::parse(&format!("chatgate://{text}")).map_err(|_| wrong())?;
    let is_bare =
        matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    let name = url
        .host_str()
        .filter(|name| is_bare && !name.is_empty())
        .ok_or_else(wrong)?;
    let name = name.trim_start_matches('[').trim_end_matches(']');
    Ok((name.to_owned(), url.port().unwrap_or(usual_port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_url_form_is_parsed_into_topology_and_hosts() {
        let check = |text: &str, has_tls, place, hosts: &[(&str, u16)]| {
            let hosts = hosts
                .iter()
                .map(|(host, port)| ((*host).to_owned(), *port))
                .collect();
            assert_eq!(
                ValkeyUrl::parse(text),
                Ok(ValkeyUrl {
                    has_tls,
                    place,
                    hosts
                }),
                "{text}"
            );
        };
        check(
            "redis://a",
            false,
            ValkeyTopology::Servers(0),
            &[("a", 6379)],
        );
        check(
            "valkeys://[::1]:7000,b/3",
            true,
            ValkeyTopology::Servers(3),
            &[("::1", 7000), ("b", 6379)],
        );
        let service = ValkeyTopology::Sentinels("limits".to_owned());
        check(
            "redis+sentinel://a,b:1/limits",
            false,
            service,
            &[("a", 26_379), ("b", 1)],
        );
        check(
            "rediss+cluster://10.0.0.1:7000",
            true,
            ValkeyTopology::Cluster,
            &[("10.0.0.1", 7000)],
        );
    }

    #[test]
    fn an_invalid_url_is_rejected_and_not_repeated_in_the_error() {
        for text in [
            "",
            "a:6379",
            "http://a",
            "redis://",
            "redis://a,,b",
            "redis://user:hidden@a",
            "redis://a/hidden",
            "redis+sentinel://a",
            "redis+cluster://a/1",
            "redis+ring://a",
            "redis://a?b",
            "redis://a:99999",
        ] {
            let error = ValkeyUrl::parse(text).unwrap_err();
            assert!(!error.contains("hidden"), "{error}");
        }
    }
}
