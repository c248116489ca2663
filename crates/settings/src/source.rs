//! Where settings come from, and their text before any setting has been parsed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::trusted_file::{FileError, trusted_text};

/// Names the file and holds the flags: enough to read the configuration again at any time.
#[derive(Clone, Debug, Default)]
pub struct ConfigSource {
    /// The configuration file; none when everything comes from environment and flags.
    pub file: Option<PathBuf>,
    /// Flags of the command line by the key that each one sets.
    pub flags: BTreeMap<&'static str, Flag>,
}

/// One flag of the command line.
#[derive(Clone, Debug)]
pub struct Flag {
    /// The name that the user wrote, such as `--listen`.
    pub name: &'static str,
    /// The value behind it.
    pub value: String,
}

/// The text of file, environment and flags at one moment.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The text of the file.
    pub file: String,
    /// The environment, or as much of it as settings and secrets may name.
    pub environment: BTreeMap<String, String>,
    /// The names of variables that are not UTF-8, by name or value; what is not UTF-8 of a name is replaced.
    pub not_text: BTreeSet<String>,
    /// Flags of the command line by the key that each one sets.
    pub flags: BTreeMap<&'static str, Flag>,
}

impl ConfigSource {
    /// Reads file, environment and flags as they are now.
    ///
    /// # Errors
    /// When a file is named and cannot be read, or everybody may write it.
    pub fn read(&self) -> Result<Sources, String> {
        let file = match &self.file {
            None => String::new(),
            Some(path) => trusted_text(path).map_err(|error| match &error {
                FileError::Io(_) => {
                    let text = error.text(path);
                    format!("{text}; name the configuration file with --config")
                }
                _ => error.text(path),
            })?,
        };
        let (mut environment, mut not_text) = (BTreeMap::new(), BTreeSet::new());
        for (name, value) in std::env::vars_os() {
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => drop(environment.insert(name, value)),
                (Ok(name), Err(_)) => drop(not_text.insert(name)),
                (Err(name), _) => drop(not_text.insert(name.to_string_lossy().into_owned())),
            }
        }
        Ok(Sources {
            file,
            environment,
            not_text,
            flags: self.flags.clone(),
        })
    }
}

impl Sources {
    /// The flag or the environment variable that sets this key whatever stands in the file.
    #[must_use]
    pub fn overriding(&self, prefix: &str, key: &str) -> Option<String> {
        let flag = self.flags.get(key).map(|flag| flag.name.to_owned());
        let variable = variable(prefix, key);
        flag.or_else(|| self.environment.contains_key(&variable).then_some(variable))
    }
}

/// The environment variable of a key.
pub(crate) fn variable(prefix: &str, key: &str) -> String {
    format!("{prefix}{}", key.replace('.', "__").to_uppercase())
}
