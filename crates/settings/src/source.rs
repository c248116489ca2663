//! The sources of settings, and their text before any setting has been parsed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::trusted_file::{FileError, trusted_text};

/// The file's name and the flags, which are sufficient to read the configuration again at any time.
#[derive(Clone, Debug, Default)]
pub struct ConfigSource {
    /// The configuration file; `None` if all settings come from environment and flags.
    pub file: Option<PathBuf>,
    /// Flags of the command line, by the key that each flag sets.
    pub flags: BTreeMap<&'static str, Flag>,
}

/// One flag of the command line.
#[derive(Clone, Debug)]
pub struct Flag {
    /// The name that the user wrote, such as `--listen`.
    pub name: &'static str,
    /// The value after the name.
    pub value: String,
}

/// The text of file, environment and flags at one point in time.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The text of the file.
    pub file: String,
    /// The environment, with at least the variables that settings and secrets may name.
    pub environment: BTreeMap<String, String>,
    /// The names of variables whose name or value is not UTF-8. Invalid parts of a name are replaced.
    pub not_utf8: BTreeSet<String>,
    /// Flags of the command line, by the key that each flag sets.
    pub flags: BTreeMap<&'static str, Flag>,
}

impl ConfigSource {
    /// Reads the current file, environment and flags.
    ///
    /// # Errors
    /// A file is named but cannot be read, or everybody may write it.
    pub fn read(&self) -> Result<Sources, String> {
        let file = match &self.file {
            None => String::new(),
            Some(path) => trusted_text(path).map_err(|error| match &error {
                FileError::Io(_) => {
                    let text = error.text(path);
                    format!("{text}; give the path of the configuration file with --config")
                }
                _ => error.text(path),
            })?,
        };
        let (mut environment, mut not_utf8) = (BTreeMap::new(), BTreeSet::new());
        for (name, value) in std::env::vars_os() {
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => drop(environment.insert(name, value)),
                (Ok(name), Err(_)) => drop(not_utf8.insert(name)),
                (Err(name), _) => drop(not_utf8.insert(name.to_string_lossy().into_owned())),
            }
        }
        Ok(Sources {
            file,
            environment,
            not_utf8,
            flags: self.flags.clone(),
        })
    }
}

impl Sources {
    /// Returns the flag or the environment variable that sets this key and overrides the file.
    #[must_use]
    pub fn overriding(&self, prefix: &str, key: &str) -> Option<String> {
        let flag = self.flags.get(key).map(|flag| flag.name.to_owned());
        let variable = variable(prefix, key);
        flag.or_else(|| self.environment.contains_key(&variable).then_some(variable))
    }
}

/// Returns the environment variable of a key.
pub(crate) fn variable(prefix: &str, key: &str) -> String {
    format!("{prefix}{}", key.replace('.', "__").to_uppercase())
}
