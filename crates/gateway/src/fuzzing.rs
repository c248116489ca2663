//! Exposes pure functions of the gateway to the oracles in `fuzz/oracles`. The gateway itself does not use this module.
//!
//! This module is not behind a feature. Features are shared by all crates of a build, so the tests would then test another binary
//! than the one that is shipped.

use std::net::{IpAddr, SocketAddr};

use adapter::{Error, Way};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use ipnet::IpNet;
use server::PeerAddr;

use crate::client_addr::{self, Finding, ForwardedHeader, Trust};
use crate::request::validate::{self, RequestKind};

/// One step of the walk to the caller: the written text, and the address with `true` for a trusted proxy.
pub type StepSummary = (String, Option<(IpAddr, bool)>);

/// Returns the caller behind a peer, and the steps that led to it.
///
/// # Errors
/// IP_NOT_ALLOWED when a hop that the walk needs is unreadable.
pub fn walk(
    peer: SocketAddr,
    headers: &HeaderMap,
    proxies: &[IpNet],
    header: ForwardedHeader,
) -> (Result<IpAddr, Error>, Vec<StepSummary>) {
    let mut steps = Vec::new();
    let found = client_addr::walk(
        PeerAddr::of(peer),
        headers,
        Trust { proxies, header },
        |step| {
            let finding = match step.finding {
                Finding::Trusted(address) => Some((address, true)),
                Finding::Client(address) => Some((address, false)),
                Finding::Unreadable(_) => None,
            };
            steps.push((step.written.to_owned(), finding));
        },
    );
    (found.map(|client| client.0), steps)
}

/// Checks that Host and Transfer-Encoding are readable.
///
/// # Errors
/// MALFORMED_REQUEST.
pub fn readable(head: &Parts) -> Result<(), Error> {
    validate::readable(head)
}

/// Returns the kind of a request: `call`, `check`, `options` or `wsdl`.
///
/// # Errors
/// HTTP_METHOD_NOT_ALLOWED, or INCORRECT_PARAM for a WSDL of another version.
pub fn kind(way: Way, head: &Parts) -> Result<&'static str, Error> {
    validate::kind(way, head).map(|kind| match kind {
        RequestKind::Call => "call",
        RequestKind::CheckOnly => "check",
        RequestKind::Options => "options",
        RequestKind::Wsdl(_) => "wsdl",
    })
}
