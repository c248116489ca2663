//! Creates, stores and compares secrets.
//!
//! The cost of a check depends on the *presented* secret, not on the name. A random secret of ours (`cgs_…`) has 256 bits and is
//! compared as a keyed hash in microseconds. Any other secret is a chosen password and costs one argon2id computation, whether the
//! name exists or not.

use adapter::PASSWORD_BYTES_MAX;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use aws_lc_rs::{hmac, rand};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// The prefix of our random secrets. Secret scanners recognize it, and it decides which check is made.
pub const RANDOM_SECRET_PREFIX: &str = "cgs_";

/// Number of random bytes in a secret of ours: too many to guess, so that a fast hash is enough.
const RANDOM_SECRET_BYTES: usize = 32;

/// Number of random bytes in a client id, which only has to be unique.
const CLIENT_ID_BYTES: usize = 12;

/// Minimum length of a chosen password, in characters.
pub const PASSWORD_CHARACTERS_MIN: usize = 8;

/// A secret in its stored form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredSecret {
    /// HMAC-SHA-256 of a random secret with the store's own key, base64url.
    Keyed(String),
    /// A PHC string of a chosen password.
    Argon2id(String),
}

/// The reason why a secret could not be made or hashed.
#[derive(Debug)]
pub struct SecretError(&'static str);

impl std::fmt::Display for SecretError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for SecretError {}

/// Hashes and compares random secrets with one key.
pub struct SecretHasher(hmac::Key);

impl SecretHasher {
    /// Makes a hasher from the bytes of a key.
    #[must_use]
    pub fn new(key: &[u8]) -> SecretHasher {
        SecretHasher(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// Derives a separate key for another purpose. It is the same wherever this key is the same, and does not help to find this
    /// key.
    #[must_use]
    pub fn derived(&self, purpose: &str) -> [u8; 32] {
        let mut derived = [0; 32];
        // Random secrets have another prefix, so that a derived key is never the hash of a secret.
        let tag = hmac::sign(&self.0, format!("derived key: {purpose}").as_bytes());
        derived.copy_from_slice(tag.as_ref());
        derived
    }

    /// Returns the stored form of a random secret.
    #[must_use]
    pub fn keyed(&self, secret: &SecretString) -> StoredSecret {
        let tag = hmac::sign(&self.0, secret.expose_secret().as_bytes());
        StoredSecret::Keyed(BASE64_URL_SAFE_NO_PAD.encode(tag))
    }

    /// Returns whether `presented` is one of the random secrets in `stored`; takes the same time for an empty list.
    #[must_use]
    pub fn verify<'a>(
        &self,
        presented: &SecretString,
        stored: impl IntoIterator<Item = &'a StoredSecret>,
    ) -> bool {
        let tag = hmac::sign(&self.0, presented.expose_secret().as_bytes());
        // There are always two comparisons, because two secrets may be live at the same time.
        let mut kept = [[0_u8; 32]; 2];
        let mut real = [false; 2];
        let keyed = stored.into_iter().filter_map(|secret| match secret {
            StoredSecret::Keyed(text) => BASE64_URL_SAFE_NO_PAD
                .decode(text)
                .ok()
                .and_then(|b| <[u8; 32]>::try_from(b).ok()),
            StoredSecret::Argon2id(_) => None,
        });
        for (place, bytes) in keyed.take(2).enumerate() {
            kept[place] = bytes;
            real[place] = true;
        }
        let mut equal = false;
        for (bytes, real) in kept.iter().zip(real) {
            equal |= aws_lc_rs::constant_time::verify_slices_are_equal(tag.as_ref(), bytes).is_ok()
                & real;
        }
        equal
    }
}

/// Checks whether a password may be chosen: it must be long enough, and a call must be able to present it.
///
/// # Errors
/// One sentence that says what to write instead.
pub fn check_password(password: &str) -> Result<(), String> {
    if adapter::has_forbidden_character(password, false) {
        return Err("it contains a control character".to_owned());
    }
    let is_long = password.chars().count() >= PASSWORD_CHARACTERS_MIN;
    if !is_long || password.len() > PASSWORD_BYTES_MAX {
        return Err(format!(
            "write at least {PASSWORD_CHARACTERS_MIN} characters, and at most {PASSWORD_BYTES_MAX} bytes"
        ));
    }
    Ok(())
}

/// Makes a new random secret, `cgs_…`.
///
/// # Errors
/// When the system returns no randomness.
pub fn new_random_secret() -> Result<SecretString, SecretError> {
    Ok(format!("{RANDOM_SECRET_PREFIX}{}", random::<RANDOM_SECRET_BYTES>()?).into())
}

/// Makes a new operator's key, `cgk_…`.
///
/// # Errors
/// When the system returns no randomness.
pub fn new_admin_key() -> Result<SecretString, SecretError> {
    Ok(format!("cgk_{}", random::<RANDOM_SECRET_BYTES>()?).into())
}

/// Makes a new client id, `cga_…`.
///
/// # Errors
/// When the system returns no randomness.
pub fn new_client_id() -> Result<String, SecretError> {
    Ok(format!("cga_{}", random::<CLIENT_ID_BYTES>()?))
}

fn random<const N: usize>() -> Result<String, SecretError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| SecretError("the system returns no random bytes"))?;
    Ok(BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

impl StoredSecret {
    /// Returns the stored form of a chosen password. Takes tens of milliseconds, so that it must not run on an async thread.
    ///
    /// # Errors
    /// When the password has the prefix of random secrets, because it could then never be presented, or when the system returns no
    /// randomness.
    pub fn argon2id(password: &SecretString) -> Result<StoredSecret, SecretError> {
        if password.expose_secret().starts_with(RANDOM_SECRET_PREFIX) {
            return Err(SecretError("a chosen password may not begin with cgs_"));
        }
        Argon2::default()
            .hash_password(password.expose_secret().as_bytes())
            .map(|hash| StoredSecret::Argon2id(hash.to_string()))
            .map_err(|_| SecretError("the password can't be hashed"))
    }
}

/// Returns whether `presented` is the password of this PHC string. Takes tens of milliseconds, so that it must not run on an async
/// thread.
#[must_use]
pub fn verify_chosen(presented: &SecretString, phc: &str) -> bool {
    PasswordHash::new(phc).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(presented.expose_secret().as_bytes(), &hash)
            .is_ok()
    })
}

/// Returns the PHC string for the check of a name without a chosen password: the check costs the same, and nobody knows a matching
/// password.
#[must_use]
pub fn unknown_name_hash() -> &'static str {
    // The hash is 32 zero bytes, with default parameters: to match it, somebody would have to invert argon2id.
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGlzIGhvbWUhIQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_secret_verifies_only_against_its_own_hash() {
        let hasher = SecretHasher::new(b"key");
        let secret = new_random_secret().unwrap();
        let other = new_random_secret().unwrap();
        let stored = [hasher.keyed(&other), hasher.keyed(&secret)];
        assert!(hasher.verify(&secret, &stored));
        assert!(hasher.verify(&other, &stored));
        assert!(!hasher.verify(&secret, &stored[..1]));
        assert!(!hasher.verify(&secret, []));
        assert!(!SecretHasher::new(b"other key").verify(&secret, &stored));
    }

    #[test]
    fn a_chosen_password_uses_argon2id_and_must_not_look_like_a_random_secret() {
        let Ok(StoredSecret::Argon2id(phc)) = StoredSecret::argon2id(&"correct horse".into())
        else {
            panic!("a chosen password has a PHC string");
        };
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify_chosen(&"correct horse".into(), &phc));
        assert!(!verify_chosen(&"correct horse ".into(), &phc));
        assert!(StoredSecret::argon2id(&"cgs_x".into()).is_err());
    }

    #[test]
    fn the_hash_for_unknown_names_costs_as_much_as_a_real_one() {
        let hash = PasswordHash::new(unknown_name_hash()).unwrap();
        let real = Argon2::default().hash_password(b"x").unwrap();
        assert_eq!(hash.params, real.params);
        assert_eq!(hash.hash.unwrap().len(), real.hash.unwrap().len());
        assert_eq!(hash.salt.unwrap().len(), real.salt.unwrap().len());
    }
}
