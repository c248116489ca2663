//! The only account of the sandbox.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use secrecy::{ExposeSecret, SecretString};

/// User and password.
pub(crate) struct SandboxAccount {
    user: String,
    password: SecretString,
}

impl SandboxAccount {
    pub(crate) fn new(user: String, password: SecretString) -> SandboxAccount {
        SandboxAccount { user, password }
    }

    /// Checks user and password. Both are always compared, each in constant time.
    pub(crate) fn admits(&self, user: &str, password: &str) -> bool {
        let right_user = constant_time_eq(&self.user, user);
        right_user & constant_time_eq(self.password.expose_secret(), password)
    }
}

fn constant_time_eq(left: &str, right: &str) -> bool {
    verify_slices_are_equal(left.as_bytes(), right.as_bytes()).is_ok()
}
