//! The contents of a configuration's files at one moment, which are compared to find out whether the files have changed.

use std::collections::BTreeMap;
use std::path::Path;

use settings::{ConfigSource, Reader, SecretSource, Sources, read_to_compare, secret_hash};

use super::Config;

/// The contents of the configuration file and of the files of its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigFiles {
    /// The text of the configuration file, and `false` if every user may write it. `None` if no file is polled.
    file: Option<Result<(String, bool), String>>,
    /// The hash of each secret that a file contains.
    secrets: Vec<Result<u64, String>>,
}

impl ConfigFiles {
    /// Reads the files that a configuration was read from.
    pub(crate) fn read(source: &ConfigSource, config: &Config) -> ConfigFiles {
        let secrets = secrets_in_files(config).map(|(file, _)| secret_hash(file));
        ConfigFiles {
            file: polled(source.file.as_deref()).map(read_to_compare),
            secrets: secrets.collect(),
        }
    }

    /// Returns the contents from which a configuration was just read.
    pub(crate) fn of(source: &ConfigSource, sources: &Sources, config: &Config) -> ConfigFiles {
        let file = polled(source.file.as_deref());
        ConfigFiles {
            file: file.map(|_| Ok((sources.file.clone(), true))),
            secrets: secrets_in_files(config).map(|(_, hash)| Ok(hash)).collect(),
        }
    }

    /// Replaces the text of the configuration file, if it is polled.
    pub(crate) fn set_text(&mut self, text: &str) {
        if let Some(file) = &mut self.file {
            *file = Ok((text.to_owned(), true));
        }
    }

    /// Returns whether all files could be read.
    pub(crate) fn is_readable(&self) -> bool {
        self.file.iter().all(Result::is_ok) && self.secrets.iter().all(Result::is_ok)
    }
}

impl Config {
    /// Logs a warning for each secret file that every user of the machine can read. Only files of this user are reported, because
    /// this user cannot change files of other users, such as files that an orchestrator mounts.
    pub(crate) fn warn_of_exposed_secrets(&self) {
        for file in self
            .secret_files
            .iter()
            .filter(|file| settings::is_exposed(file))
        {
            let file = file.display();
            tracing::warn!(%file, "every user of this machine can read the file of a secret; run chmod 600 on it");
        }
    }

    /// Returns the keys of the secrets whose values differ in the next configuration.
    pub(crate) fn changed_secrets(&self, next: &Config) -> impl Iterator<Item = &str> {
        let secrets = self.secrets.iter();
        let changed = secrets.filter(|(key, secret)| {
            let next = next.secrets.get(*key);
            next.is_some_and(|next| next.hash != secret.hash)
        });
        changed.map(|(key, _)| key.as_str())
    }
}

/// Returns the path of a file that can be read more than once. A shell's pipe can't.
fn polled(file: Option<&Path>) -> Option<&Path> {
    file.filter(|file| !file.starts_with("/dev/fd") && *file != Path::new("/dev/stdin"))
}

fn secrets_in_files(config: &Config) -> impl Iterator<Item = (&Path, u64)> {
    let secrets = config.secrets.values();
    secrets.filter_map(|secret| Some((polled(secret.file.as_deref())?, secret.hash)))
}

/// Returns the secrets that were read, without those that only the first start of a store uses.
pub(super) fn secrets(reader: &mut Reader<'_>) -> BTreeMap<String, SecretSource> {
    let mut secrets = std::mem::take(&mut reader.secrets);
    secrets.retain(|key, _| !key.starts_with("accesses.") && key != "admin.key");
    secrets
}
