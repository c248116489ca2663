//! Reads the settings that are secrets.

use std::path::{Path, PathBuf};

use super::{RawValue, Reader};
use crate::error::ConfigError;
use crate::schema::{KeySchema, ValueKind};
use crate::secret_source::{SecretSource, secret_in};
use crate::source::Sources;

impl Reader<'_> {
    /// Reads a secret: `env:NAME` or `file:PATH`. A plain secret is allowed only in an environment variable, because files get
    /// shared.
    pub fn secret(&mut self, key: &str) -> Option<String> {
        self.record(key, || KeySchema::new(ValueKind::Secret));
        let file = match self.raw_value(key) {
            Some(RawValue::Scalar(text, _)) => text.strip_prefix("file:").map(PathBuf::from),
            _ => None,
        };
        self.secret_files.extend(file.clone());
        let Sources {
            environment,
            not_utf8,
            ..
        } = self.sources;
        let from_environment = environment.contains_key(&self.variable(key));
        let secret = self.read(key, |text| {
            if let Some(name) = text.strip_prefix("env:") {
                let problem = if not_utf8.contains(name) {
                    "not UTF-8"
                } else {
                    "not set"
                };
                let value = environment.get(name).cloned();
                value.ok_or_else(|| format!("the environment variable {name} is {problem}"))
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
        let source = SecretSource::of(&secret, file);
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
