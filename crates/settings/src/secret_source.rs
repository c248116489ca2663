//! Secrets that are in files: their values, and hashes by which a change is noticed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use crate::trusted_file::read_trusted;

/// A secret that was read, without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretSource {
    /// The file that contains the secret; `None` if it is in the environment.
    pub file: Option<PathBuf>,
    /// A hash of the value. Only hashes of the same process can be compared.
    pub hash: u64,
}

impl SecretSource {
    /// Returns the source of this secret.
    pub(crate) fn of(secret: &str, file: Option<PathBuf>) -> SecretSource {
        SecretSource {
            file,
            hash: hash(secret),
        }
    }
}

/// Reads the secret in a file and returns its hash, as in [`SecretSource`].
///
/// # Errors
/// The errors of [`read_trusted`].
pub fn secret_hash(file: &Path) -> Result<u64, String> {
    Ok(hash(&secret_in(file)?))
}

/// Reads the secret in a file.
pub(crate) fn secret_in(file: &Path) -> Result<String, String> {
    let text = read_trusted(file)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn hash(secret: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    secret.hash(&mut hasher);
    hasher.finish()
}
