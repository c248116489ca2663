//! Lists the paths of the public listener.

use adapter::Way;
use adapter_jwt::{JWKS_PATH, METADATA_PATH, TOKEN_PATH};

/// A path of the public listener, with the methods that it serves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PublicPath {
    /// The path as it is routed and logged. The path that a caller wrote is not logged, because it may contain anything, even
    /// secrets.
    pub(crate) path: &'static str,
    /// The methods for the `Allow` header.
    pub(crate) allow: &'static str,
    /// The way in for logs and metrics.
    pub(crate) way: Option<Way>,
}

/// The methods of every way in.
pub(crate) const ALLOW: &str = "GET, HEAD, POST, OPTIONS";

/// The token endpoint.
pub(crate) const TOKEN: PublicPath = PublicPath {
    path: TOKEN_PATH,
    allow: "POST, OPTIONS",
    way: Some(Way::Jwt),
};

/// The public keys that verify our tokens.
pub(crate) const JWKS: PublicPath = document(JWKS_PATH);

/// The metadata of the token issuer (RFC 8414).
pub(crate) const METADATA: PublicPath = document(METADATA_PATH);

/// The stream of events.
pub(crate) const EVENTS: PublicPath = PublicPath {
    path: "/api/events",
    allow: "GET, HEAD, OPTIONS",
    way: None,
};

/// The documentation pages, which also have paths below this one.
pub(crate) const DOCS: PublicPath = document(docs::PATH);

/// Every other path.
pub(crate) const UNKNOWN: PublicPath = PublicPath {
    path: "(unknown)",
    allow: ALLOW,
    way: None,
};

const fn document(path: &'static str) -> PublicPath {
    PublicPath {
        path,
        allow: "GET, HEAD",
        way: None,
    }
}

impl PublicPath {
    /// Returns the path of a way in.
    pub(crate) fn of(way: Way) -> PublicPath {
        PublicPath {
            path: way.path(),
            allow: ALLOW,
            way: Some(way),
        }
    }
}

/// Finds the way in at a path, with or without the final slash.
pub(crate) fn way_at(path: &str) -> Option<Way> {
    let mut ways = Way::ALL.into_iter();
    ways.find(|way| path == way.path() || path == way.path().trim_end_matches('/'))
}

/// Finds a path that is not the path of a way in.
pub(crate) fn other_at(path: &str) -> PublicPath {
    let page = path.strip_prefix(DOCS.path);
    if path == "/docs" || page.is_some_and(|page| !page.contains('/')) {
        return DOCS;
    }
    let others = [TOKEN, JWKS, METADATA, EVENTS].into_iter();
    let mut found = others.filter(|other| other.path == path);
    found.next().unwrap_or(UNKNOWN)
}
