//! Reads secrets from the environment and from files.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use super::{RawValue, Reader};
use crate::error::ConfigError;
use crate::schema::{KeySchema, ValueKind};
use crate::source::Sources;
use crate::trusted_file::read_trusted;

/// A secret that was read, without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretSource {
    /// The file that contains the secret; `None` if it is in the environment.
    pub file: Option<PathBuf>,
    /// A hash of the value. Only hashes of the same process can be compared.
    pub hash: u64,
}

impl Reader<'_> {
    /// Reads a secret: `env:NAME` or `file:PATH`. A plain secret is allowed only in an environment variable, because files get
    /// shared.
    pub fn secret(&mut self, key: &str) -> Option<String> {
        self.record(key, || KeySchema::new(ValueKind::Secret));
        let file = match self.raw(key) {
            Some(RawValue::Scalar(text, _)) => text.strip_prefix("file:").map(PathBuf::from),
            _ => None,
        };
        self.secret_files.extend(file.clone());
        let Sources {
            environment,
            not_text,
            ..
        } = self.sources;
        let from_environment = environment.contains_key(&self.variable(key));
        let secret = self.read(key, |text| {
            if let Some(name) = text.strip_prefix("env:") {
                let is = if not_text.contains(name) {
                    "not UTF-8"
                } else {
                    "not set"
                };
                let value = environment.get(name).cloned();
                value.ok_or_else(|| format!("the environment variable {name} is {is}"))
            } else if let Some(path) = text.strip_prefix("file:") {
                secret_in(Path::new(path))
            } else if from_environment {
                Ok(text.to_owned())
            } else {
                let error =
                    "a secret must not be in the configuration file; write \"env:NAME\" or \"file:PATH\"";
                Err(error.to_owned())
            }
        })?;
        let hash = hash(&secret);
        let source = SecretSource { file, hash };
        self.secrets.insert(key.to_owned(), source);
        Some(secret)
    }

    /// Reads a secret like [`Reader::secret`], but does not record an error.
    ///
    /// # Errors
    /// The error that [`Reader::secret`] would record.
    pub fn try_secret(&mut self, key: &str) -> Result<Option<String>, ConfigError> {
        let known = self.errors.len();
        let secret = self.secret(key);
        self.errors.drain(known..).next().map_or(Ok(secret), Err)
    }
}

/// Reads the secret in a file and returns its hash, as in [`SecretSource`].
///
/// # Errors
/// The errors of [`read_trusted`].
pub fn secret_hash(file: &Path) -> Result<u64, String> {
    Ok(hash(&secret_in(file)?))
}

fn secret_in(file: &Path) -> Result<String, String> {
    let text = read_trusted(file)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn hash(secret: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    secret.hash(&mut hasher);
    hasher.finish()
}
