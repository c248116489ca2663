//! How the server is reached.

use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::url::ValkeyUrl;

/// How the server is reached.
#[derive(Clone)]
pub struct ValkeyOptions {
    /// Where it is.
    pub url: ValkeyUrl,
    /// The name of the user there; the default user when absent.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<SecretString>,
    /// The password of the Sentinels, where they have one.
    pub sentinel_password: Option<SecretString>,
    /// Authorities that may vouch for its certificate, in PEM; the system's when absent.
    pub authorities: Option<Vec<u8>>,
    /// How long a call waits for an answer at most.
    pub timeout: Duration,
}

impl PartialEq for ValkeyOptions {
    fn eq(&self, other: &ValkeyOptions) -> bool {
        let secret =
            |text: &Option<SecretString>| text.as_ref().map(|text| text.expose_secret().to_owned());
        let parts = |options: &ValkeyOptions| {
            (
                options.user.clone(),
                secret(&options.password),
                secret(&options.sentinel_password),
                options.authorities.clone(),
            )
        };
        self.url == other.url && self.timeout == other.timeout && parts(self) == parts(other)
    }
}

impl fmt::Debug for ValkeyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ValkeyOptions")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}
