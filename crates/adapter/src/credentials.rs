//! The credentials that a caller presents. Debug prints neither names nor secrets.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::code::Code;
use crate::error::Error;
use crate::text::has_forbidden_character;

/// Maximum length of a user name, in bytes of UTF-8 (an e-mail address has at most 254).
pub const USER_BYTES_MAX: usize = 256;

/// Maximum length of a password, in bytes of UTF-8. It limits the cost of one check.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// Presented credentials, not yet checked.
#[derive(Clone)]
pub enum Credentials {
    /// A name and a secret, from any way in.
    Password {
        /// The access's user name.
        user: String,
        /// The secret, unchanged.
        password: SecretString,
    },
    /// A bearer token that has not been opened yet.
    Token(SecretString),
}

impl Credentials {
    /// Checks the lengths and characters of a name and a secret. Empty values count as missing.
    ///
    /// # Errors
    /// MISSING_USER, MISSING_PASSWORD, or INCORRECT_PARAM if a value is too long or contains control characters.
    pub fn password(
        user: Option<String>,
        password: Option<impl Into<SecretString>>,
    ) -> Result<Credentials, Error> {
        let user = user.filter(|user| !user.is_empty());
        let user = user.ok_or_else(|| Error::refused(Code::MissingUser))?;
        let password = password.map(Into::into);
        let password = password.filter(|secret: &SecretString| !secret.expose_secret().is_empty());
        let password = password.ok_or_else(|| Error::refused(Code::MissingPassword))?;
        let bad = |value: &str, max| value.len() > max || has_forbidden_character(value, false);
        if bad(&user, USER_BYTES_MAX) || bad(password.expose_secret(), PASSWORD_BYTES_MAX) {
            return Err(Error::incorrect(
                "The user or the password is too long or contains control characters.",
            ));
        }
        Ok(Credentials::Password { user, password })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::Password { .. } => "Credentials::Password",
            Credentials::Token(_) => "Credentials::Token",
        })
    }
}
