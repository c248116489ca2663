//! Judges Host, method and request target. Input: a byte (bit 0: HTTP/1.0; the rest: the method), the target, then lines that begin
//! with `H` for Host or `T` for Transfer-Encoding.

use adapter::Way;
use gateway::fuzzing::{kind, readable};
use http::{Method, Request, Uri, Version};

use crate::reading::{headers, split};

const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::OPTIONS,
    Method::PUT,
    Method::TRACE,
    Method::CONNECT,
];

pub(crate) fn judge(input: &[u8]) {
    let Some((flags, rest)) = input.split_first() else {
        return;
    };
    let (target, rest) = split(rest, b'\n');
    let Ok(uri) = Uri::try_from(target) else {
        return;
    };
    let mut lines = Vec::new();
    for line in rest.split(|byte| *byte == b'\n') {
        match line {
            [b'H', value @ ..] => lines.push(("host", value)),
            [b'T', value @ ..] => lines.push(("transfer-encoding", value)),
            _ => {}
        }
    }
    let Some(headers) = headers(&lines) else {
        return;
    };
    let mut head = Request::new(()).into_parts().0;
    head.version = if flags & 1 == 1 {
        Version::HTTP_10
    } else {
        Version::HTTP_11
    };
    head.method = METHODS[usize::from(flags >> 1) % METHODS.len()].clone();
    head.uri = uri;
    head.headers = headers;
    let of = |name| {
        lines
            .iter()
            .filter(move |(n, _)| *n == name)
            .map(|(_, v)| *v)
    };
    let hosts: Vec<_> = of("host").collect();
    let chunked_alone =
        of("transfer-encoding").all(|coding| coding.eq_ignore_ascii_case(b"chunked"));
    let host_fits = match hosts[..] {
        [] => head.version == Version::HTTP_10,
        [host] => is_host(host),
        _ => false,
    };
    // If the target is a whole URL, its host has to equal the header's.
    let target_fits = head.uri.authority().is_none_or(|authority| {
        let named = authority.as_str().as_bytes();
        let is_of_http = matches!(head.uri.scheme_str(), None | Some("http" | "https"));
        is_host(named) && is_of_http && hosts.iter().all(|host| *host == named)
    });
    assert_eq!(
        readable(&head).is_ok(),
        chunked_alone && host_fits && target_fits,
        "{hosts:?}"
    );
    for way in Way::ALL {
        let found = kind(way, &head).ok();
        let query = head.uri.query().unwrap_or_default();
        assert_eq!(found, wanted(way, &head.method, query));
    }
}

/// Implements RFC 3986, 3.2.2 and 3.2.3, except what none of our clients writes: an empty name, a future address format, a zone, a
/// port of six digits.
fn is_host(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else {
        return false;
    };
    let (name, port) = match host.find(']') {
        Some(end) => match host[end + 1..].strip_prefix(':') {
            Some(port) => (&host[..=end], port),
            None => (host, ""),
        },
        None => host.split_once(':').unwrap_or((host, "")),
    };
    let is_name = match name.strip_prefix('[') {
        Some(inner) => inner
            .strip_suffix(']')
            .is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok()),
        None => !name.is_empty() && name.chars().all(is_name_character) && escapes_fit(name),
    };
    is_name && port.len() <= 5 && port.chars().all(|c| c.is_ascii_digit())
}

/// Accepts unreserved, sub-delims and the start of an escape, but no comma, because a proxy may have joined two lines with it.
fn is_name_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~!$&'()*+;=%".contains(c)
}

fn escapes_fit(name: &str) -> bool {
    name.split('%').skip(1).all(|behind| {
        let digits = behind.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

fn wanted(way: Way, method: &Method, query: &str) -> Option<&'static str> {
    let lower = query.to_ascii_lowercase();
    let asked = lower
        .split('&')
        .filter(|part| part.split('=').next() == Some("wsdl"));
    let asked: Vec<&str> = asked.collect();
    let named = ["wsdl=1.1", "wsdl=1.2"];
    let is_known = |part: &&str| ["wsdl", "wsdl="].contains(part) || named.contains(part);
    let fits = asked.iter().all(is_known) && !named.iter().all(|version| asked.contains(version));
    match (method.as_str(), way == Way::Soap) {
        ("OPTIONS", _) => Some("options"),
        ("GET" | "HEAD", true) if !asked.is_empty() => fits.then_some("wsdl"),
        ("GET", true) => None,
        ("GET" | "POST", _) => Some("call"),
        ("HEAD", _) => Some("check"),
        _ => None,
    }
}
