//! Validates a request before its dialect matters: the Host has to be readable, the HTTP method has to be served, and the body has
//! to be small enough and arrive in time.

use std::time::Instant;

use adapter::{BodyBuffer, Code, Decoded, Error, Way};
use adapter_jwt::SKEW_S;
use adapter_soap::WsdlPorts;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::request::Parts;
use axum::http::uri::Scheme;
use axum::http::{Method, Version, header};
use forward::PartialBody;
use futures_util::StreamExt;
use server::{HEAD_BYTES_MAX, RequestBodyError};

/// Maximum length of an HTTP method, in bytes. The longest method in IANA's registry has 17.
pub(crate) const METHOD_BYTES_MAX: usize = 32;

/// Size of the largest body that is read although the head alone may decide the refusal, in bytes. A whole call fits into it, and
/// its mistakes are then found in the contract's order: an unreadable body is reported before missing credentials.
const UNPROVEN_BYTES_MAX: u64 = 16 * 1024;

/// The kind of a request, according to its HTTP method and query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// A call that is answered with a body.
    Call,
    /// A call whose checks alone are made (HEAD).
    CheckOnly,
    /// A request for the served methods.
    Options,
    /// The description of the SOAP way in.
    Wsdl(WsdlPorts),
}

/// Rejects heads that are malformed according to HTTP but that hyper accepts (RFC 9112, 3.2).
pub(crate) fn readable(head: &Parts) -> Result<(), Error> {
    let bad = |text: &str| Err(Error::explained(Code::MalformedRequest, text.to_owned()));
    let method = head.method.as_str();
    if method.len() > METHOD_BYTES_MAX {
        let text = format!("The HTTP method is longer than {METHOD_BYTES_MAX} bytes.");
        return bad(&text);
    }
    let target = head.uri.path().len() + head.uri.query().map_or(0, str::len);
    let lines = head.headers.iter();
    let lines: usize = lines
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    if method.len() + target + lines > HEAD_BYTES_MAX {
        return bad(&format!("The head is larger than {HEAD_BYTES_MAX} bytes."));
    }
    let mut codings = head.headers.get_all(header::TRANSFER_ENCODING).iter();
    if codings.any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return bad("The Transfer-Encoding is not just chunked.");
    }
    let mut hosts = head.headers.get_all(header::HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    // HTTP/2 names the host next to the path (RFC 9113, 8.3.1), and HTTP/1 may name it in a target that is a whole URL (RFC 9112,
    // 3.2.2). A Host header must then contain the same host. Except in HTTP/1.1, it may be missing. The values must agree, because
    // a proxy in front of us may have used either.
    if let Some(authority) = head.uri.authority() {
        return match (first, second) {
            (None, _) if head.version == Version::HTTP_11 => bad("The Host header is missing."),
            (_, Some(_)) => bad("The Host header is given twice."),
            (Some(host), None)
                if !host
                    .as_bytes()
                    .eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
            {
                bad("The Host header is not the authority of the request target.")
            }
            _ if !is_host(authority.as_str().as_bytes()) => {
                bad("The authority of the request target is not a host.")
            }
            _ if head.uri.scheme().is_some_and(is_foreign) => {
                bad("The scheme of the request target is neither http nor https.")
            }
            _ => Ok(()),
        };
    }
    match (first, second) {
        (None, _) if head.version == Version::HTTP_10 => Ok(()),
        (None, _) => bad("The Host header is missing."),
        (Some(_), Some(_)) => bad("The Host header is given twice."),
        (Some(host), None) if is_host(host.as_bytes()) => Ok(()),
        (Some(_), None) => bad("The Host header is not a host."),
    }
}

fn is_foreign(scheme: &Scheme) -> bool {
    *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS
}

/// The characters of a registered name (RFC 3986, 3.2.2), without the comma.
const IN_HOST: [bool; 256] = {
    let marks = b"-._~%!$&'()*+;=";
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
};

/// Returns whether the text is `uri-host [":" port]`, without userinfo or path. A registered name may contain a comma, but here a
/// comma indicates two joined Host lines, so it is rejected.
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
                && name.iter().all(|b| IN_HOST[usize::from(*b)])
                && (!name.contains(&b'%') || escapes_fit(name))
        }
    };
    name_fits && port.len() <= 5 && port.iter().all(u8::is_ascii_digit)
}

/// Returns whether two hexadecimal digits follow each percent sign.
fn escapes_fit(name: &[u8]) -> bool {
    name.split(|b| *b == b'%').skip(1).all(|behind| {
        let digits = behind.get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}

/// Rejects a malformed target on a path that is not served (RFC 9112, 3.2; RFC 3986, 3.3). Served paths need no such check: they
/// are compared byte by byte, so a malformed target never matches them.
pub(crate) fn target(head: &Parts) -> Result<(), Error> {
    if head.method == Method::CONNECT {
        return Err(Error::refused(Code::HttpMethodNotAllowed));
    }
    let mut rest = head.uri.path().as_bytes();
    let mut is_path = rest.first() == Some(&b'/');
    while let [byte, behind @ ..] = rest {
        rest = match (byte, behind) {
            (b'%', [high, low, behind @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                behind
            }
            (byte, behind) => {
                is_path &= byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(byte);
                behind
            }
        };
    }
    if is_path {
        Ok(())
    } else {
        Err(Error::explained(
            Code::MalformedRequest,
            "The request target is not a path.",
        ))
    }
}

/// Returns whether the request asks about the server as a whole (`OPTIONS *`).
pub(crate) fn is_for_the_whole_server(head: &Parts) -> bool {
    head.method == Method::OPTIONS && head.uri.path() == "*"
}

/// Determines the kind of a request from its method and query.
///
/// # Errors
/// When the HTTP method is not served, or the request is a delivery of a webhook: a webhook that an operator points at a way in
/// would send forever.
pub(crate) fn kind(way: Way, head: &Parts) -> Result<RequestKind, Error> {
    if head.headers.contains_key(webhooks::SIGNATURE) {
        let text = "This is a delivery of a webhook, not a call.";
        return Err(Error::explained(Code::MalformedRequest, text));
    }
    let is_get = matches!(head.method, Method::GET | Method::HEAD);
    let query = head.uri.query().filter(|_| way == Way::Soap && is_get);
    if let Some(ports) = query.and_then(WsdlPorts::asked_for) {
        return ports.map(RequestKind::Wsdl);
    }
    match (way, &head.method) {
        (_, &Method::OPTIONS) => Ok(RequestKind::Options),
        (Way::Soap, &Method::GET) => Err(Error::refused(Code::HttpMethodNotAllowed)),
        (_, &Method::GET | &Method::POST) => Ok(RequestKind::Call),
        (_, &Method::HEAD) => Ok(RequestKind::CheckOnly),
        _ => Err(Error::refused(Code::HttpMethodNotAllowed)),
    }
}

/// Rejects a request that is no longer valid at `now`, in seconds since 1970, UTC. Clocks may differ by as much as for tokens.
pub(crate) fn current(decoded: &Decoded, now: i64) -> Result<(), Error> {
    match decoded.expires {
        Some(expires) if now > expires + i64::from(SKEW_S) => Err(Error::explained(
            Code::MalformedRequest,
            "The message has expired (wsu:MessageExpired).",
        )),
        _ => Ok(()),
    }
}

/// Returns whether the caller does not accept a cached answer.
pub(crate) fn bypasses_cache(head: &Parts) -> bool {
    // Few requests have the header, and this lookup costs half as much as reading all values.
    if !head.headers.contains_key(header::CACHE_CONTROL) {
        return false;
    }
    let values = head.headers.get_all(header::CACHE_CONTROL).iter();
    let mut values = values.filter_map(|value| value.to_str().ok());
    values.any(|value| {
        value
            .split(',')
            .any(|part| part.trim().eq_ignore_ascii_case("no-cache"))
    })
}

/// Returns whether the head must be judged before the body is read: the announced body is large, or the caller sends it only after a
/// 100 response.
pub(crate) fn head_comes_first(head: &Parts, body: &Body) -> bool {
    !body.is_end_stream()
        && (body.size_hint().lower() > UNPROVEN_BYTES_MAX || expects_continue(head))
}

/// Returns whether the caller waits for a 100 response (RFC 9110, 10.1.1). A caller with HTTP/1.0 never does.
fn expects_continue(head: &Parts) -> bool {
    head.version > Version::HTTP_10
        && head
            .headers
            .get(header::EXPECT)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Reads the whole body, which may have at most `bytes_max` bytes, until the deadline. `begin` begins to count a body that does not
/// arrive in one piece.
pub(crate) async fn read_body(
    body: Body,
    bytes_max: usize,
    deadline: Instant,
    begin: impl Fn() -> PartialBody,
) -> Result<Bytes, Error> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    match tokio::time::timeout_at(deadline.into(), collect(body, bytes_max, begin)).await {
        Ok(body) => body,
        Err(_) => Err(late()),
    }
}

fn late() -> Error {
    Error::explained(Code::MalformedRequest, "The body did not arrive in time.")
}

fn broken(error: axum::Error) -> Error {
    match error.into_inner().downcast_ref() {
        Some(RequestBodyError::Late) => late(),
        _ => Error::explained(Code::MalformedRequest, "The body ended early."),
    }
}

async fn collect(
    body: Body,
    bytes_max: usize,
    begin: impl Fn() -> PartialBody,
) -> Result<Bytes, Error> {
    let too_large = || {
        Error::explained(
            Code::RequestTooLarge,
            format!("The body is larger than {bytes_max} bytes."),
        )
    };
    // A body with a too large announced size is rejected before a byte is read, so `Expect: 100-continue` never gets a 100
    // response.
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large());
    }
    let mut partial = None;
    let mut buffer = BodyBuffer::default();
    let mut pieces = body.into_data_stream();
    while let Some(data) = pieces.next().await {
        let data = data.map_err(broken)?;
        if buffer.bytes() + data.len() > bytes_max {
            return Err(too_large());
        }
        if !pieces.is_end_stream() {
            partial.get_or_insert_with(&begin).add(data.len())?;
        }
        buffer.push(data);
    }
    Ok(buffer.whole())
}

#[cfg(test)]
mod tests {
    use super::{is_host, target};

    #[test]
    fn only_valid_host_headers_are_accepted() {
        for host in [
            "a",
            "example.com",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:80",
            "a:",
            "x_y.example",
            "a%2Db",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in [
            "", ":80", "a b", "a,b", "u@h", "h/p", "h?q", "h#f", "a:b", "a:123456", "[::1", "[x]",
            "a:80:80", "%", "a%2", "%zz",
        ] {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn only_valid_paths_are_accepted_as_request_targets() {
        let check = |method: &str, uri: &str| {
            let request = axum::http::Request::builder().method(method).uri(uri);
            target(&request.body(()).unwrap().into_parts().0)
        };
        for path in ["/", "/a/b", "/a%20b", "/a;b=c,d:e@f", "/~a", "http://x/a"] {
            assert!(check("GET", path).is_ok(), "{path}");
        }
        for path in ["*", "/caf\u{e9}", "/a\\b", "/a%2", "/a%zz", "/a|b", "/{a}"] {
            assert!(check("GET", path).is_err(), "{path}");
        }
        assert!(check("CONNECT", "x:443").is_err());
    }
}
