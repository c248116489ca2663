//! Short names of upstreams for the client, which parses and hashes the URL of each request several times over. Under a name of
//! one letter, which only its resolver knows, a forward costs a tenth less; the `Host` header has the real one. With TLS the
//! name is what the certificate is for, and stays.

use std::io;
use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use url::{Host, Url};

/// Where a request goes.
#[derive(Clone, Debug)]
pub struct Target {
    /// The URL for the client.
    pub(crate) url: Url,
    /// The headers of every request, those of the client's own too: added one by one they cost more. `Host` is there where
    /// the URL does not say what the upstream is called.
    pub(crate) headers: HeaderMap,
}

impl Target {
    /// The target of a URL under its own name.
    #[must_use]
    pub fn new(url: &Url) -> Target {
        Target {
            url: url.clone(),
            headers: headers(None),
        }
    }
}

/// The real names behind the short ones: host and port, in the order of the letters.
#[derive(Clone, Debug)]
pub(crate) struct ShortHosts(Vec<(String, u16)>);

/// The letters.
const NAMES: std::ops::RangeInclusive<char> = 'a'..='z';

/// Gives each URL a target, and says whom the short names stand for. Unless all are without TLS there are none, so that no
/// short name is also a real one.
pub(crate) fn targets(urls: &[Url]) -> (Vec<Target>, Option<ShortHosts>) {
    let short: Option<Vec<_>> = urls
        .iter()
        .zip(NAMES)
        .map(|(url, name)| shortened(url, name))
        .collect();
    match short.filter(|short| short.len() == urls.len()) {
        Some(short) => {
            let (targets, real) = short.into_iter().unzip();
            (targets, Some(ShortHosts(real)))
        }
        None => (urls.iter().map(Target::new).collect(), None),
    }
}

fn headers(host: Option<HeaderValue>) -> HeaderMap {
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let mut headers = HeaderMap::new();
    headers.extend(host.map(|host| (HOST, host)));
    headers.insert(CONTENT_TYPE, form);
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    headers
}

fn shortened(url: &Url, name: char) -> Option<(Target, (String, u16))> {
    if url.scheme() != "http" {
        return None;
    }
    // As the resolver takes it: an address of IPv6 without its brackets.
    let real = match url.host()? {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    let port = url.port_or_known_default()?;
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str()?),
        None => url.host_str()?.to_owned(),
    };
    let mut short = url.clone();
    short.set_host(Some(name.encode_utf8(&mut [0; 4]))).ok()?;
    // The resolver's port counts where the URL has none.
    short.set_port(None).ok()?;
    let target = Target {
        url: short,
        headers: headers(Some(HeaderValue::try_from(host).ok()?)),
    };
    Some((target, (real, port)))
}

impl ShortHosts {
    fn real(&self, name: &str) -> Option<&(String, u16)> {
        let mut names = NAMES;
        let number = names.position(|letter| name.chars().eq([letter]))?;
        self.0.get(number)
    }
}

impl Resolve for ShortHosts {
    fn resolve(&self, name: Name) -> Resolving {
        let real = self.real(name.as_str()).cloned();
        Box::pin(async move {
            let unknown = || io::Error::new(io::ErrorKind::NotFound, "no upstream has this name");
            let (host, port) = real.ok_or_else(unknown)?;
            let found = tokio::net::lookup_host((host, port)).await?;
            let found: Vec<SocketAddr> = found.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(urls: &[&str], expected: &[(&str, &str, &str, u16)]) {
        let urls: Vec<Url> = urls.iter().map(|url| url.parse().unwrap()).collect();
        let (targets, short_hosts) = targets(&urls);
        let found: Vec<_> = targets
            .iter()
            .map(|target| {
                let name = target.url.host_str().unwrap();
                let (real, port) = short_hosts.as_ref().unwrap().real(name).unwrap();
                let host = target.headers[HOST].to_str().unwrap();
                (target.url.as_str(), host, real.as_str(), *port)
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn each_url_has_a_short_one_and_keeps_its_name_for_the_upstream() {
        check(
            &[
                "http://127.0.0.1:8080/api/http/",
                "http://chat.example/",
                "http://[::1]:81/x",
            ],
            &[
                ("http://a/api/http/", "127.0.0.1:8080", "127.0.0.1", 8080),
                ("http://b/", "chat.example", "chat.example", 80),
                ("http://c/x", "[::1]:81", "::1", 81),
            ],
        );
    }

    #[test]
    fn with_tls_among_them_all_stay_as_they_are() {
        let urls = ["http://a.example/", "https://a/"].map(|url| url.parse().unwrap());
        let (targets, short_hosts) = targets(&urls);
        assert!(short_hosts.is_none());
        assert!(
            targets
                .iter()
                .zip(&urls)
                .all(|(target, url)| target.url == *url && !target.headers.contains_key(HOST))
        );
    }

    #[tokio::test]
    async fn an_address_resolves_to_itself_with_its_port() {
        let (_, short_hosts) = targets(&["http://127.0.0.1:8080/".parse().unwrap()]);
        let found = short_hosts
            .unwrap()
            .resolve("a".parse().unwrap())
            .await
            .unwrap();
        assert_eq!(found.collect::<Vec<_>>(), [([127, 0, 0, 1], 8080).into()]);
    }
}
