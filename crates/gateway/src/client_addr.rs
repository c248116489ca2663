//! Resolves the address of the caller: the address of the TCP peer, or the address that a trusted proxy names.

use std::net::IpAddr;

use adapter::{Code, Error};
use axum::http::HeaderMap;
use ipnet::IpNet;
use server::PeerAddr;

mod walk;

pub(crate) use walk::Walk;

/// The resolved address of the caller, in canonical form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClientIp(pub(crate) IpAddr);

/// Maximum number of hops in one walk. Real chains have two or three.
const HOPS_MAX: usize = 10;

/// Maximum number of empty elements that one walk skips. A proxy that joins lists leaves one or two, and RFC 9110, 5.6.1.2 asks for
/// a reasonable number.
const EMPTIES_MAX: usize = 32;

/// The header in which trusted proxies name the caller. Only this one is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl ForwardedHeader {
    /// Parses the name of a header.
    ///
    /// # Errors
    /// A sentence with both names.
    pub fn parse(text: &str) -> Result<ForwardedHeader, String> {
        match text.to_ascii_lowercase().as_str() {
            "x-forwarded-for" => Ok(ForwardedHeader::XForwardedFor),
            "forwarded" => Ok(ForwardedHeader::Forwarded),
            _ => Err(format!("{text} is neither x-forwarded-for nor forwarded")),
        }
    }

    /// Returns the name of the header in lower case.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ForwardedHeader::XForwardedFor => "x-forwarded-for",
            ForwardedHeader::Forwarded => "forwarded",
        }
    }
}

/// The proxies that the gateway trusts to name the caller's address, and the header in which they name it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trust<'a> {
    pub(crate) proxies: &'a [IpNet],
    pub(crate) header: ForwardedHeader,
}

/// One step of the walk: the peer, or a hop of the header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WalkStep<'a> {
    /// The number of the header line that contains the hop, counted from one; `None` for the peer.
    pub(crate) line: Option<usize>,
    /// The hop as written; empty for the peer, and if the line is not text.
    pub(crate) written: &'a str,
    /// The result of the step.
    pub(crate) finding: Finding,
}

/// The result of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// A trusted proxy. The walk continues with the hop that the proxy names.
    Trusted(IpAddr),
    /// The first address that is not a trusted proxy: the caller.
    Client(IpAddr),
    /// An unreadable hop, with the reason. The walk ends without a caller.
    Unreadable(&'static str),
}

/// Walks from the peer through the header's hops, from right to left, as long as each address is a trusted proxy. Returns the first
/// address that is not a trusted proxy, or the last address if all are.
///
/// # Errors
/// IP_NOT_ALLOWED when a hop that the walk needs is unreadable, or when there are too many hops. A guess would let callers choose
/// their address.
pub(crate) fn resolve(
    peer: PeerAddr,
    headers: &HeaderMap,
    trust: Trust<'_>,
) -> Result<ClientIp, Error> {
    walk(peer, headers, trust, |_| {})
}

/// Makes the same walk as [`resolve`] and calls `visit` for each step.
///
/// # Errors
/// The same as [`resolve`].
pub(crate) fn walk(
    peer: PeerAddr,
    headers: &HeaderMap,
    trust: Trust<'_>,
    mut visit: impl FnMut(WalkStep<'_>),
) -> Result<ClientIp, Error> {
    let mut visit = |line, written, finding| {
        visit(WalkStep {
            line,
            written,
            finding,
        });
        match finding {
            Finding::Trusted(address) => Ok((address, true)),
            Finding::Client(address) => Ok((address, false)),
            Finding::Unreadable(why) => Err(unparsable(why)),
        }
    };
    let (mut address, mut is_proxy) = visit(None, "", trust.find_peer(peer))?;
    if !is_proxy {
        return Ok(ClientIp(address));
    }
    let lines = headers.get_all(trust.header.name());
    let count = lines.iter().count();
    let (mut walked, mut empties) = (0, 0);
    for (behind, line) in lines.iter().rev().enumerate() {
        let number = Some(count - behind);
        let Ok(line) = line.to_str() else {
            visit(number, "", Finding::Unreadable("the header is not text"))?;
            continue;
        };
        for hop in split_outside_quotes(line, ',') {
            if hop.trim().is_empty() {
                empties += 1;
                if empties > EMPTIES_MAX {
                    visit(number, "", Finding::Unreadable("too many empty elements"))?;
                }
                continue;
            }
            walked += 1;
            (address, is_proxy) = visit(number, hop.trim(), trust.read(hop, walked))?;
            if !is_proxy {
                return Ok(ClientIp(address));
            }
        }
    }
    Ok(ClientIp(address))
}

impl Trust<'_> {
    /// Returns whether this peer is trusted to name its callers.
    pub(crate) fn trusts(self, peer: PeerAddr) -> bool {
        matches!(self.find_peer(peer), Finding::Trusted(_))
    }

    fn find_peer(self, peer: PeerAddr) -> Finding {
        let address = peer.address.ip().to_canonical();
        if peer.is_caller {
            Finding::Client(address)
        } else {
            self.find(address)
        }
    }

    fn find(self, address: IpAddr) -> Finding {
        if self.proxies.iter().any(|proxy| proxy.contains(&address)) {
            Finding::Trusted(address)
        } else {
            Finding::Client(address)
        }
    }

    /// Reads a hop. `walked` is its number in the walk, counted from one.
    fn read(self, hop: &str, walked: usize) -> Finding {
        if walked > HOPS_MAX {
            return Finding::Unreadable("too many hops");
        }
        let written = match self.header {
            ForwardedHeader::XForwardedFor => Some(hop.trim()),
            ForwardedHeader::Forwarded => for_of(hop),
        };
        match written.and_then(node) {
            Some(address) => self.find(address),
            None => Finding::Unreadable("a hop is not an address"),
        }
    }
}

fn unparsable(what: &'static str) -> Error {
    Error::refused(Code::IpNotAllowed).because(format!("unparsable_hop: {what}"))
}

/// Returns the value of `for` in one element of `Forwarded`. An element with two `for` values is rejected. So is an element with a
/// backslash or an unclosed quote: read from the right, an escaped quote looks like a closing quote, and the first element that is
/// cut there contains the backslash.
fn for_of(element: &str) -> Option<&str> {
    if element.contains('\\') || element.matches('"').count() % 2 == 1 {
        return None;
    }
    let mut found = None;
    let pairs = split_outside_quotes(element, ';');
    // An element may end with a semicolon or contain two in a row (RFC 7239, 4).
    for pair in pairs.filter(|pair| !pair.trim().is_empty()) {
        let (name, value) = pair.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("for") && found.replace(value.trim()).is_some() {
            return None;
        }
    }
    let value = found?;
    match value.strip_prefix('"') {
        Some(quoted) => quoted
            .strip_suffix('"')
            .filter(|inner| !inner.contains(['"', '\\'])),
        // An address with a colon or a bracket must be quoted (RFC 7239, 4).
        None => Some(value).filter(|bare| !bare.contains([':', '[', ']', '"'])),
    }
}

/// Reads an address as proxies write it: plain, with a port, or in brackets. Accepts only canonical spellings without a zone.
fn node(text: &str) -> Option<IpAddr> {
    let address = if let Some(rest) = text.strip_prefix('[') {
        let (inner, port) = rest.split_once(']')?;
        if !(port.is_empty() || port.strip_prefix(':').is_some_and(is_port)) {
            return None;
        }
        IpAddr::V6(inner.parse().ok()?)
    } else if let Ok(address) = text.parse::<IpAddr>() {
        address
    } else {
        let (address, port) = text.split_once(':')?;
        IpAddr::V4(address.parse().ok().filter(|_| is_port(port))?)
    };
    Some(address.to_canonical())
}

/// Returns whether this is a port, or an obfuscated port (RFC 7239, 6.3).
fn is_port(text: &str) -> bool {
    if let Some(hidden) = text.strip_prefix('_') {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        return !hidden.is_empty() && hidden.bytes().all(is_allowed);
    }
    (1..=5).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_digit())
        && text.parse::<u16>().is_ok()
}

/// Splits at separators outside quotes. Returns the last part first.
///
/// Quotes are counted from the right, because the nearest proxy wrote the rightmost part. A quote that was opened further left and
/// never closed must not hide the text that was added after it.
fn split_outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.rsplit(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(
        peer: &str,
        trusted: &[&str],
        header: ForwardedHeader,
        lines: &[&str],
        expected: Option<&str>,
    ) {
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(
                header.name(),
                HeaderValue::from_bytes(line.as_bytes()).unwrap(),
            );
        }
        let trust = Trust {
            proxies: &trusted,
            header,
        };
        let peer = PeerAddr::of(peer.parse().unwrap());
        let resolved = resolve(peer, &headers, trust);
        assert_eq!(
            resolved.ok().map(|ip| ip.0.to_string()).as_deref(),
            expected,
            "{lines:?}"
        );
    }

    const XFF: ForwardedHeader = ForwardedHeader::XForwardedFor;
    const FWD: ForwardedHeader = ForwardedHeader::Forwarded;
    const PROXY: &str = "10.0.0.1:5";

    #[test]
    fn the_forwarded_header_of_an_untrusted_peer_is_ignored() {
        check(
            "192.0.2.9:1",
            &["10.0.0.0/8"],
            XFF,
            &["1.2.3.4"],
            Some("192.0.2.9"),
        );
        check("192.0.2.9:1", &[], XFF, &["garbage"], Some("192.0.2.9"));
        check("[::ffff:192.0.2.9]:1", &[], XFF, &[], Some("192.0.2.9"));
    }

    #[test]
    fn the_forwarded_header_of_a_proxy_that_is_itself_the_caller_is_ignored() {
        let proxies = ["10.0.0.0/8".parse().unwrap()];
        let mut headers = HeaderMap::new();
        headers.insert(XFF.name(), HeaderValue::from_static("1.2.3.4"));
        let trust = Trust {
            proxies: &proxies,
            header: XFF,
        };
        let resolved = |peer| resolve(peer, &headers, trust).unwrap().0.to_string();
        let address = PROXY.parse().unwrap();
        assert_eq!(resolved(PeerAddr::of(address)), "1.2.3.4");
        assert_eq!(resolved(PeerAddr::caller(address)), "10.0.0.1");
    }

    #[test]
    fn forwarded_addresses_are_read_from_right_to_left_over_all_header_lines() {
        let trusted = &["10.0.0.0/8"][..];
        check(PROXY, trusted, XFF, &["1.2.3.4"], Some("1.2.3.4"));
        check(
            PROXY,
            trusted,
            XFF,
            &["6.6.6.6, 1.2.3.4, 10.9.9.9"],
            Some("1.2.3.4"),
        );
        check(
            PROXY,
            trusted,
            XFF,
            &["6.6.6.6, 1.2.3.4", "10.9.9.9"],
            Some("1.2.3.4"),
        );
        check(PROXY, trusted, XFF, &["::ffff:1.2.3.4"], Some("1.2.3.4"));
        check(PROXY, trusted, XFF, &["1.2.3.4:567"], Some("1.2.3.4"));
        check(
            PROXY,
            trusted,
            XFF,
            &["[2001:db8::1]:80"],
            Some("2001:db8::1"),
        );
        check(PROXY, trusted, XFF, &[], Some("10.0.0.1"));
        check(PROXY, trusted, XFF, &["10.0.0.2"], Some("10.0.0.2"));
        check(PROXY, trusted, XFF, &["garbage, 1.2.3.4"], Some("1.2.3.4"));
        check(
            "[::ffff:10.0.0.1]:5",
            trusted,
            XFF,
            &["1.2.3.4"],
            Some("1.2.3.4"),
        );
    }

    #[test]
    fn a_request_whose_deciding_hop_is_unreadable_is_rejected() {
        let trusted = &["10.0.0.0/8"][..];
        for hop in [
            "unknown",
            "_hidden",
            "0177.0.0.1",
            "127.1",
            "fe80::1%eth0",
            "1.2.3.4:x",
            "[::1",
        ] {
            check(PROXY, trusted, XFF, &[hop], None);
        }
        check(PROXY, trusted, XFF, &[&["10.0.0.2"; 11].join(",")], None);
    }

    #[test]
    fn empty_elements_of_a_forwarded_list_are_skipped_up_to_a_limit() {
        let trusted = &["10.0.0.0/8"][..];
        for (hops, expected) in [
            ("", "10.0.0.1"),
            (" , ,", "10.0.0.1"),
            ("1.2.3.4,", "1.2.3.4"),
            ("6.6.6.6,1.2.3.4 ,\t, ", "1.2.3.4"),
            ("1.2.3.4,,10.0.0.2", "1.2.3.4"),
            (",1.2.3.4", "1.2.3.4"),
        ] {
            check(PROXY, trusted, XFF, &[hops], Some(expected));
            check(PROXY, trusted, XFF, &["6.6.6.6,1.2.3.4", hops], {
                Some(if expected == "10.0.0.1" {
                    "1.2.3.4"
                } else {
                    expected
                })
            });
        }
        for (line, expected) in [
            ("for=1.2.3.4,", Some("1.2.3.4")),
            ("for=1.2.3.4;, ,for=10.0.0.2;;by=_a", Some("1.2.3.4")),
            (";for=1.2.3.4", Some("1.2.3.4")),
            ("for=1.2.3.4,;", None),
        ] {
            check(PROXY, trusted, FWD, &[line], expected);
        }
        let commas = |count| ",".repeat(count);
        let line = format!("1.2.3.4{}", commas(EMPTIES_MAX));
        check(PROXY, trusted, XFF, &[&line], Some("1.2.3.4"));
        check(PROXY, trusted, XFF, &[&line, ","], None);
        check(PROXY, trusted, XFF, &[&commas(EMPTIES_MAX)], None);
    }

    #[test]
    fn an_unclosed_quote_does_not_hide_addresses_that_a_proxy_adds() {
        let trusted = &["10.0.0.0/8"][..];
        for (begun, expected) in [
            ("for=6.6.6.6;by=\"x", Some("1.2.3.4")),
            ("for=6.6.6.6;by=\"x\\\"", Some("1.2.3.4")),
            ("\"", Some("1.2.3.4")),
        ] {
            let line = format!("{begun}, for=1.2.3.4");
            check(PROXY, trusted, FWD, &[&line], expected);
            let line = format!("{begun}, for=1.2.3.4, for=10.0.0.2;by=\"_a, b\"");
            check(PROXY, trusted, FWD, &[&line], expected);
        }
        // Text that a proxy escapes may contain anything that a caller wrote.
        for line in [
            r#"for=1.2.3.4;host="a\", for=6.6.6.6;by=\"b""#,
            r#"for=1.2.3.4;host="a\" , for=6.6.6.6""#,
            r#"for=1.2.3.4;by="x"#,
        ] {
            check(PROXY, trusted, FWD, &[line], None);
        }
    }

    #[test]
    fn the_forwarded_header_is_parsed_as_rfc_7239_defines() {
        let trusted = &["10.0.0.0/8"][..];
        check(
            PROXY,
            trusted,
            FWD,
            &["for=1.2.3.4;proto=https;by=10.0.0.1"],
            Some("1.2.3.4"),
        );
        check(
            PROXY,
            trusted,
            FWD,
            &["For=\"[2001:db8::1]:4711\""],
            Some("2001:db8::1"),
        );
        check(
            PROXY,
            trusted,
            FWD,
            &["for=6.6.6.6, for=\"1.2.3.4:80\";host=\"a,b\""],
            Some("1.2.3.4"),
        );
        // An obfuscated port hides only the port (RFC 7239, 6.3).
        check(
            PROXY,
            trusted,
            FWD,
            &["for=\"[2001:db8::1]:_p-1\""],
            Some("2001:db8::1"),
        );
        for line in [
            "for=\"1.2.3.4:_\"",
            "for=\"1.2.3.4:_a b\"",
            "for=unknown",
            "for=_x",
            "proto=https",
            "for=1.2.3.4:80",
            "for=[::1]",
            "for=1.2.3.4;for=1.2.3.5",
        ] {
            check(PROXY, trusted, FWD, &[line], None);
        }
    }
}
