//! The four ways in, with their names and paths.

/// A way in.
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

    /// Returns the word for configuration, logs, metrics and an access's list of ways in.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Way::Http => "http",
            Way::Basic => "basic",
            Way::Jwt => "jwt",
            Way::Soap => "soap",
        }
    }

    /// Returns the path on the public listener, which answers with and without the trailing slash.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Way::Http => "/api/http/",
            Way::Basic => "/api/basic/",
            Way::Jwt => "/api/jwt/",
            Way::Soap => "/api/soap/",
        }
    }

    /// Returns the way in with this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Way> {
        Way::ALL.into_iter().find(|way| way.name() == name)
    }
}
