//! What has to be true of a request before its dialect matters: a readable Host, an HTTP method that is served, a body
//! that is small enough and comes in time.

use std::time::Instant;

use adapter::{Code, Error, Pieces, Way};
use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{Method, Version, header};
use http_body_util::BodyExt;

use crate::inbound::Broken;

/// The methods of every way in, for `Allow`.
pub(crate) const ALLOW: &str = "GET, HEAD, POST, OPTIONS";

/// What the HTTP method asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// An answer with a body.
    Call,
    /// All checks, no body, nothing upstream.
    CheckOnly,
    /// Which methods are served.
    Options,
    /// The description of the SOAP way.
    Wsdl,
}

/// Refuses what HTTP itself calls broken and the server below us lets through (RFC 9112, 3.2).
pub(crate) fn readable(head: &Parts) -> Result<(), Error> {
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        let text = "The Transfer-Encoding is not chunked alone.";
        return Err(Error::explained(Code::MalformedRequest, text));
    }
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let bad = |text| Err(Error::explained(Code::MalformedRequest, text));
    // HTTP/2 names the host beside the path; a header says the same or nothing (RFC 9113, 8.3.1).
    if head.version == Version::HTTP_2
        && let Some(authority) = head.uri.authority()
    {
        return match (hosts.next(), hosts.next()) {
            (_, Some(_)) => bad("The Host header is given twice."),
            (Some(host), None) if host.as_bytes() != authority.as_str().as_bytes() => {
                bad("The Host header is not the :authority.")
            }
            _ if is_host(authority.as_str().as_bytes()) => Ok(()),
            _ => bad("The :authority is no host."),
        };
    }
    match (hosts.next(), hosts.next()) {
        (None, _) if head.version == Version::HTTP_10 => Ok(()),
        (None, _) => bad("The Host header is missing."),
        (Some(_), Some(_)) => bad("The Host header is given twice."),
        (Some(host), None) if is_host(host.as_bytes()) => Ok(()),
        (Some(_), None) => bad("The Host header is no host."),
    }
}

/// `uri-host [":" port]`, without userinfo or path.
fn is_host(host: &[u8]) -> bool {
    let (name, port) = match host.iter().rposition(|b| *b == b':') {
        Some(at) if !host[at..].contains(&b']') => (&host[..at], &host[at + 1..]),
        _ => (host, &b""[..]),
    };
    let name_fits = match name {
        [b'[', inner @ .., b']'] => {
            std::str::from_utf8(inner).is_ok_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok())
        }
        name => {
            !name.is_empty()
                && name
                    .iter()
                    .all(|b| b.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(b))
        }
    };
    name_fits && port.len() <= 5 && port.iter().all(u8::is_ascii_digit)
}

/// Reads the wish off method and query.
pub(crate) fn wish(way: Way, head: &Parts) -> Result<Wish, Error> {
    let asks_for_wsdl = way == Way::Soap
        && head.uri.query().is_some_and(|query| {
            query
                .split('&')
                .any(|part| part.eq_ignore_ascii_case("wsdl"))
        });
    match (way, &head.method) {
        (_, &Method::OPTIONS) => Ok(Wish::Options),
        (Way::Soap, &Method::GET | &Method::HEAD) if asks_for_wsdl => Ok(Wish::Wsdl),
        (Way::Soap, &Method::GET) => Err(Error::refused(Code::HttpMethodNotAllowed)),
        (_, &Method::GET | &Method::POST) => Ok(Wish::Call),
        (_, &Method::HEAD) => Ok(Wish::CheckOnly),
        _ => Err(Error::refused(Code::HttpMethodNotAllowed)),
    }
}

/// Whether the caller wants no answer from memory.
pub(crate) fn asks_for_fresh(head: &Parts) -> bool {
    let values = head.headers.get_all(header::CACHE_CONTROL).iter();
    let mut values = values.filter_map(|value| value.to_str().ok());
    values.any(|value| {
        value
            .split(',')
            .any(|part| part.trim().eq_ignore_ascii_case("no-cache"))
    })
}

/// Reads the whole body, of at most `bytes_max` bytes, until the deadline.
pub(crate) async fn read_body(
    body: Body,
    bytes_max: usize,
    deadline: Instant,
) -> Result<Bytes, Error> {
    match tokio::time::timeout_at(deadline.into(), collect(body, bytes_max)).await {
        Ok(body) => body,
        Err(_) => Err(late()),
    }
}

fn late() -> Error {
    Error::explained(Code::MalformedRequest, "The body did not come in time.")
}

fn broken(error: axum::Error) -> Error {
    match error.into_inner().downcast_ref() {
        Some(Broken::Late) => late(),
        _ => Error::explained(Code::MalformedRequest, "The body broke off."),
    }
}

async fn collect(mut body: Body, bytes_max: usize) -> Result<Bytes, Error> {
    let too_large = || {
        Error::explained(
            Code::RequestTooLarge,
            format!("The body is larger than {bytes_max} bytes."),
        )
    };
    // An announced size is refused before a byte is read; `Expect: 100-continue` is then never answered with 100.
    if http_body::Body::size_hint(&body).lower() > bytes_max as u64 {
        return Err(too_large());
    }
    let mut pieces = Pieces::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(broken)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if pieces.bytes() + data.len() > bytes_max {
            return Err(too_large());
        }
        pieces.push(data);
    }
    Ok(pieces.whole())
}

#[cfg(test)]
mod tests {
    use super::is_host;

    #[test]
    fn hosts_are_hosts() {
        for host in [
            "a",
            "example.com",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:80",
            "a:",
            "x_y.example",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "", ":80", "a b", "u@h", "h/p", "h?q", "h#f", "a:b", "a:123456", "[::1", "[x]",
            "a:80:80",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }
}
