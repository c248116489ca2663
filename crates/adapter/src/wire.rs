//! What an adapter is given and what it gives back.

use bytes::Bytes;
use http::HeaderMap;

use crate::{Credentials, Error, Request};

/// The four ways in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Way {
    /// `/api/http/`: user and password as parameters.
    Http,
    /// `/api/basic/`: RFC 7617 credentials.
    Basic,
    /// `/api/jwt/`: a bearer token.
    Jwt,
    /// `/api/soap/`: SOAP 1.1 and 1.2.
    Soap,
}

impl Way {
    /// All ways in, in the order in which they are documented.
    pub const ALL: [Way; 4] = [Way::Http, Way::Basic, Way::Jwt, Way::Soap];

    /// The word used in configuration, logs, metrics and the access's list of ways.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Way::Http => "http",
            Way::Basic => "basic",
            Way::Jwt => "jwt",
            Way::Soap => "soap",
        }
    }

    /// The path on the public listener; answered with and without the last slash.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Way::Http => "/api/http/",
            Way::Basic => "/api/basic/",
            Way::Jwt => "/api/jwt/",
            Way::Soap => "/api/soap/",
        }
    }

    /// The way with this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Way> {
        Way::ALL.into_iter().find(|way| way.name() == name)
    }
}

/// A request as it came, below every dialect.
#[derive(Clone, Copy, Debug)]
pub struct Wire<'a> {
    /// The query of the request target, still encoded; empty when there is none. May hold raw UTF-8.
    pub query: &'a str,
    /// All header fields.
    pub headers: &'a HeaderMap,
    /// The whole body, already bounded; empty before it has been read.
    pub body: &'a Bytes,
}

impl Wire<'_> {
    /// The value of a header that is text, or `None` when it is absent or holds bytes that are no text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// The form of a way's own dialect in which a caller speaks (for SOAP: which version, and where the credentials stood).
/// Only the adapter that made it reads it; everybody else carries it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dialect(pub u8);

/// One call, read but not yet judged.
#[derive(Debug)]
pub struct Decoded {
    /// Who the caller claims to be.
    pub credentials: Credentials,
    /// Whether a secret stood in the URL.
    pub secret_in_url: bool,
    /// What they want; a mistake in it is not told before the credentials have been checked.
    pub call: Result<Request, Error>,
    /// The idempotency key, or why the several places that may carry it do not agree.
    pub idempotency_key: Result<Option<String>, Error>,
}
