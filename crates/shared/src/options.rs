//! Options of the connection to the server.

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;

use crate::url::ValkeyUrl;

/// Options of the connection to the server.
#[derive(Clone)]
pub struct ValkeyOptions {
    /// The URL of the server.
    pub url: ValkeyUrl,
    /// The name of the user at the server; `None` for the default user.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<SecretString>,
    /// The password of the Sentinels, if they need one.
    pub sentinel_password: Option<SecretString>,
    /// Certificate authorities for the server's certificate, in PEM; `None` for the system's list.
    pub authorities: Option<Vec<u8>>,
    /// Longest time that a call waits for an answer.
    pub timeout: Duration,
}

impl fmt::Debug for ValkeyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValkeyOptions")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
