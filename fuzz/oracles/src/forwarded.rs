//! Judges the walk to the caller's address. Input: a byte (bit 0: `Forwarded`; bit 1: the peer is not a trusted proxy), then the
//! lines of the header.

use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::sync::LazyLock;

use gateway::client_addr::ForwardedHeader;
use gateway::fuzzing::{StepSummary, walk};
use ipnet::IpNet;

use crate::reading::headers;

/// Maximum number of hops.
const HOPS_MAX: usize = 10;

/// Maximum number of empty elements that are skipped.
const EMPTIES_MAX: usize = 32;

/// Text that a caller may send before the part that a proxy adds to the same line.
const BEGUN: [&[u8]; 3] = [
    b"for=6.6.6.6;by=\"x, ",
    b"for=6.6.6.6;by=\"\\\", ",
    b"6.6.6.6\", ",
];

pub(crate) fn judge(input: &[u8]) {
    let Some((flags, text)) = input.split_first() else {
        return;
    };
    let header = match flags & 1 {
        0 => ForwardedHeader::XForwardedFor,
        _ => ForwardedHeader::Forwarded,
    };
    let peer = if flags & 2 == 0 {
        "10.0.0.1:5"
    } else {
        "192.0.2.9:5"
    };
    let peer: SocketAddr = peer.parse().expect("it is an address");
    let lines: Vec<_> = text.split(|byte| *byte == b'\n').collect();
    let Some((found, steps)) = walked(peer, header, &lines) else {
        return;
    };
    let (last, before) = steps.split_last().expect("the peer is a step");
    for step in &steps {
        let Some((address, is_trusted)) = step.1 else {
            continue;
        };
        assert_eq!(address, address.to_canonical());
        assert_eq!(is_trusted, is_proxy(address));
    }
    assert!(
        before
            .iter()
            .all(|(_, found)| found.is_some_and(|(_, trusted)| trusted))
    );
    assert_eq!(found, last.1.map(|(address, _)| address));
    assert!(steps.len() <= HOPS_MAX + 2);
    if !is_proxy(peer.ip()) {
        assert_eq!(steps.len(), 1, "the header of a stranger was read");
    }
    if header == ForwardedHeader::XForwardedFor && is_proxy(peer.ip()) {
        plainly_walked(Some(peer.ip()), &lines, found);
    }
    // Only if every hop is trusted do the entries further left matter, which anybody may have written.
    if last.1.is_none_or(|(_, trusted)| !trusted) {
        let further = [&[b"6.6.6.6, for=6.6.6.6, \"".as_slice()], lines.as_slice()].concat();
        let again = walked(peer, header, &further).expect("they are headers");
        assert_eq!(again.0, found, "a line to the left counts");
    }
    // The part that a proxy adds closes its own quotes.
    let quotes = lines[0].iter().filter(|byte| **byte == b'"').count();
    let is_decided = last.1.is_none_or(|(_, trusted)| !trusted) && quotes % 2 == 0;
    for begun in BEGUN {
        let longer = [begun, lines[0]].concat();
        let lines = [&[longer.as_slice()], &lines[1..]].concat();
        let again = walked(peer, header, &lines).expect("they are headers").0;
        let holds = !is_decided || again.is_none() || again == found;
        assert!(holds, "who begins the line chose {again:?}");
    }
}

fn walked(
    peer: SocketAddr,
    header: ForwardedHeader,
    lines: &[&[u8]],
) -> Option<(Option<IpAddr>, Vec<StepSummary>)> {
    let name = match header {
        ForwardedHeader::XForwardedFor => "x-forwarded-for",
        ForwardedHeader::Forwarded => "forwarded",
    };
    let lines: Vec<_> = lines.iter().map(|line| (name, *line)).collect();
    let (found, steps) = walk(peer, &headers(&lines)?, &*PROXIES, header);
    Some((found.ok(), steps))
}

static PROXIES: LazyLock<[IpNet; 3]> = LazyLock::new(|| {
    let networks = ["10.0.0.0/8", "192.168.0.0/16", "fd00::/8"];
    networks.map(|net| net.parse().expect("it is a network"))
});

fn is_proxy(address: IpAddr) -> bool {
    PROXIES.iter().any(|net| net.contains(&address))
}

/// Repeats the walk in the simplest way, for lines in which no quote changes the end of a hop.
fn plainly_walked(peer: Option<IpAddr>, lines: &[&[u8]], found: Option<IpAddr>) {
    let texts: Option<Vec<_>> = lines
        .iter()
        .map(|line| std::str::from_utf8(line).ok())
        .collect();
    let Some(texts) = texts.filter(|texts| texts.iter().all(|t| t.is_ascii() && !t.contains('"')))
    else {
        return;
    };
    let whole = texts.join(",");
    let mut answer = peer;
    let (mut hops, mut empties) = (0, 0);
    for hop in whole.rsplit(',').map(str::trim) {
        if hop.is_empty() {
            empties += 1;
            if empties > EMPTIES_MAX {
                answer = None;
                break;
            }
            continue;
        }
        hops += 1;
        answer = address(hop).filter(|_| hops <= HOPS_MAX);
        if answer.is_none_or(|address| !is_proxy(address)) {
            break;
        }
    }
    assert_eq!(found, answer);
}

/// Parses a hop with the standard library, but rejects what that accepts beyond addresses and ports of up to five digits.
fn address(hop: &str) -> Option<IpAddr> {
    let port = hop.rsplit_once(':').map_or("", |(_, port)| port);
    let has_port = hop.contains("]:") || (hop.contains('.') && hop.matches(':').count() == 1);
    if hop.contains('%') || (has_port && port.len() > 5) {
        return None;
    }
    let bracketed = || {
        hop.strip_prefix('[')?
            .strip_suffix(']')?
            .parse()
            .ok()
            .map(IpAddr::V6)
    };
    let with_port = || match hop.parse::<SocketAddrV4>() {
        Ok(v4) => Some(IpAddr::V4(*v4.ip())),
        Err(_) => hop.parse::<SocketAddr>().ok().map(|address| address.ip()),
    };
    let found = hop.parse().ok().or_else(bracketed).or_else(with_port);
    found.map(|address: IpAddr| address.to_canonical())
}
