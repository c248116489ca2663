//! Reads settings one by one, from flag, environment or file in that order, and collects all errors.

mod secret;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::Value;
use toml::de::{DeTable, DeValue};

use crate::error::{ConfigError, Location, SourceMap};
use crate::schema::{KeySchema, ValueKind, document};
use crate::secret_source::SecretSource;
use crate::source::{Sources, variable};
use crate::toml_value::{lookup, scalar, too_large};

/// An unparsed value from any of the three sources.
enum RawValue {
    Scalar(String, Location),
    List(Vec<(String, Location)>),
    Table(Location),
}

/// Reads one configuration.
pub struct Reader<'a> {
    sources: &'a Sources,
    prefix: &'static str,
    source_map: SourceMap<'a>,
    root: DeTable<'a>,
    requested: BTreeSet<String>,
    errors: Vec<ConfigError>,
    /// The files that secrets were read from.
    pub secret_files: Vec<PathBuf>,
    /// The secrets that were read, by key.
    pub secrets: BTreeMap<String, SecretSource>,
    /// The schema of each key that was read, if schemas are recorded (see [`Reader::recording`]).
    schemas: Option<BTreeMap<String, KeySchema>>,
}

impl<'a> Reader<'a> {
    /// Parses the file. The names of environment variables that set keys begin with the prefix.
    #[must_use]
    pub fn new(sources: &'a Sources, prefix: &'static str) -> Reader<'a> {
        let (table, errors) = DeTable::parse_recoverable(&sources.file);
        let mut reader = Reader {
            sources,
            prefix,
            source_map: SourceMap::of(&sources.file),
            root: table.into_inner(),
            requested: BTreeSet::new(),
            errors: Vec::new(),
            secret_files: Vec::new(),
            secrets: BTreeMap::new(),
            schemas: None,
        };
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            reader.push_error(reader.source_map.at(at), error.message().to_owned());
        }
        let too_large: Vec<_> = reader.root.values().flat_map(too_large).collect();
        for at in too_large {
            let text = "the number does not fit into 64 bits, as TOML requires";
            reader.push_error(reader.source_map.at(at), text.to_owned());
        }
        reader
    }

    /// Creates a reader of empty sources that records the schema of each requested key. Every list of tables has one element.
    #[must_use]
    pub fn recording(empty: &'a Sources, prefix: &'static str) -> Reader<'a> {
        Reader {
            schemas: Some(BTreeMap::new()),
            ..Reader::new(empty, prefix)
        }
    }

    /// Returns the JSON Schema of a file with the recorded keys. Descriptions are the comments of the example.
    #[must_use]
    pub fn json_schema(self, title: &str, example: &str) -> Value {
        document(title, &self.schemas.unwrap_or_default(), example)
    }

    fn record(&mut self, key: &str, schema: impl FnOnce() -> KeySchema) {
        if let Some(schemas) = &mut self.schemas {
            schemas.insert(key.to_owned(), schema());
        }
    }

    fn push_error(&mut self, location: Location, text: String) {
        self.errors.push(ConfigError { location, text });
    }

    /// Reads a setting with a default.
    ///
    /// # Panics
    /// The default cannot be parsed. A test of the caller must exclude that.
    pub fn value<T>(
        &mut self,
        key: &str,
        default: &str,
        kind: ValueKind,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        self.record(key, || KeySchema::new(kind).or(&[default]));
        match self.read(key, &parse) {
            Some(value) => value,
            None => parse(default)
                .unwrap_or_else(|error| panic!("the default of {key} is wrong: {error}")),
        }
    }

    /// Reads a setting that may be absent. An invalid value is recorded as an error and counts as absent.
    pub fn optional<T>(
        &mut self,
        key: &str,
        kind: ValueKind,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.record(key, || KeySchema::new(kind));
        self.read(key, parse)
    }

    /// Reads a text that its table requires.
    pub fn required_text<T>(
        &mut self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.record(key, || KeySchema::new(ValueKind::Text).required());
        if !self.is_set(key) {
            self.reject(key, "it is required");
        }
        self.read(key, parse)
    }

    fn read<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let (text, location) = match self.raw_value(key)? {
            RawValue::Scalar(text, location) => (text, location),
            RawValue::List(_) => {
                self.reject(key, "write one value, not a list");
                return None;
            }
            RawValue::Table(_) => {
                self.reject(key, "write a value, not a table");
                return None;
            }
        };
        let parsed = parse(&text);
        parsed
            .map_err(|error| self.push_error(location, format!("{key}: {error}")))
            .ok()
    }

    /// Reads a list with a default. In the environment its elements are separated by commas.
    pub fn list<T>(
        &mut self,
        key: &str,
        default: &[&str],
        kind: ValueKind,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        self.record(key, || KeySchema::new(kind).many().or(default));
        let elements = match self.raw_value(key) {
            None => default
                .iter()
                .map(|text| ((*text).to_owned(), Location::Nowhere))
                .collect(),
            Some(RawValue::List(elements)) => elements,
            Some(RawValue::Scalar(text, location))
                if !matches!(location, Location::File { .. }) =>
            {
                text.split(',')
                    .map(|part| (part.trim().to_owned(), location.clone()))
                    .filter(|(part, _)| !part.is_empty())
                    .collect()
            }
            Some(RawValue::Scalar(..) | RawValue::Table(_)) => {
                self.reject(key, "write a list, such as [\"a\", \"b\"]");
                Vec::new()
            }
        };
        let mut values = Vec::with_capacity(elements.len());
        for (text, location) in elements {
            match parse(&text) {
                Ok(value) => values.push(value),
                Err(error) => self.push_error(location, format!("{key}: {error}")),
            }
        }
        values
    }

    /// Returns one prefix for each element of an array of tables. The settings of the element are read under that prefix.
    pub fn tables(&mut self, key: &str) -> Vec<String> {
        self.requested.insert(key.to_owned());
        let variable = self.variable(key);
        if self.sources.environment.contains_key(&variable) {
            let text = "it is a list of tables, which can be set only in the file".to_owned();
            self.push_error(Location::Environment(variable), text);
        }
        if self.schemas.is_some() {
            self.record(key, || KeySchema::new(ValueKind::Table).many());
            return vec![format!("{key}.0")];
        }
        let count = match lookup(&self.root, key).map(toml::Spanned::get_ref) {
            None => 0,
            Some(DeValue::Array(elements)) if elements.iter().all(|e| e.get_ref().is_table()) => {
                elements.len()
            }
            Some(_) => {
                self.reject(key, "write tables, each under [[…]]");
                0
            }
        };
        (0..count).map(|index| format!("{key}.{index}")).collect()
    }

    /// Records an error about a key, at the location of its value.
    pub fn reject(&mut self, key: &str, text: &str) {
        let location = match self.raw_value(key) {
            Some(RawValue::Scalar(_, location) | RawValue::Table(location)) => location,
            Some(RawValue::List(elements)) => elements
                .into_iter()
                .next()
                .map_or(Location::Nowhere, |(_, location)| location),
            None => Location::Nowhere,
        };
        self.push_error(location, format!("{key}: {text}"));
    }

    /// Returns whether any source sets the key.
    pub fn is_set(&mut self, key: &str) -> bool {
        self.raw_value(key).is_some()
    }

    /// Returns all errors. A key that is set but was never read is an error too.
    #[must_use]
    pub fn finish(mut self) -> Vec<ConfigError> {
        let mut unknown = Vec::new();
        self.find_unknown("", &self.root, &mut unknown);
        self.errors.extend(unknown);
        let variables: BTreeSet<_> = self
            .requested
            .iter()
            .map(|key| self.variable(key))
            .collect();
        let has_prefix = |name: &&String| name.starts_with(self.prefix);
        let unknown = self.sources.environment.keys().filter(has_prefix);
        let unknown = unknown.filter(|name| !variables.contains(*name));
        let not_utf8 = self.sources.not_utf8.iter().filter(has_prefix);
        let wrong = unknown
            .map(|name| (name, "there is no such setting"))
            .chain(not_utf8.map(|name| (name, "it is not UTF-8")));
        self.errors.extend(wrong.map(|(name, text)| ConfigError {
            location: Location::Environment(name.clone()),
            text: text.to_owned(),
        }));
        self.errors.sort();
        self.errors.dedup();
        self.errors
    }

    fn find_unknown(&self, prefix: &str, table: &DeTable<'_>, unknown: &mut Vec<ConfigError>) {
        for (name, value) in table {
            let mut is_unknown = |text| {
                let location = self.source_map.at(name.span().start);
                unknown.push(ConfigError { location, text });
            };
            let key = format!("{prefix}{}", name.get_ref());
            let inner = format!("{key}.");
            let has_inner = self.requested.iter().any(|key| key.starts_with(&inner));
            match value.get_ref() {
                // One quoted name that contains a dot. In joined form it would look like an existing setting, but it is not read.
                _ if name.get_ref().contains('.') => {
                    let quoted = format!("{prefix}{:?}", name.get_ref());
                    is_unknown(format!(
                        "{quoted}: there is no such setting; write it without quotes"
                    ));
                }
                DeValue::Table(table) if has_inner => self.find_unknown(&inner, table, unknown),
                DeValue::Array(elements) if has_inner => {
                    for (index, element) in elements.iter().enumerate() {
                        if let DeValue::Table(table) = element.get_ref() {
                            self.find_unknown(&format!("{inner}{index}."), table, unknown);
                        }
                    }
                }
                _ if self.requested.contains(&key) => {}
                _ => is_unknown(format!("{key}: there is no such setting")),
            }
        }
    }

    fn raw_value(&mut self, key: &str) -> Option<RawValue> {
        self.requested.insert(key.to_owned());
        if let Some(flag) = self.sources.flags.get(key) {
            return Some(RawValue::Scalar(
                flag.value.clone(),
                Location::Flag(flag.name),
            ));
        }
        let name = self.variable(key);
        if let Some(text) = self.sources.environment.get(&name) {
            return Some(RawValue::Scalar(text.clone(), Location::Environment(name)));
        }
        let value = lookup(&self.root, key)?;
        let at = |value: &toml::Spanned<DeValue<'_>>| self.source_map.at(value.span().start);
        Some(match value.get_ref() {
            DeValue::Table(_) => RawValue::Table(at(value)),
            DeValue::Array(elements) => RawValue::List(
                elements
                    .iter()
                    .map(|element| (scalar(element.get_ref()), at(element)))
                    .collect(),
            ),
            scalar_value => RawValue::Scalar(scalar(scalar_value), at(value)),
        })
    }

    /// Returns the environment variable of a key.
    fn variable(&self, key: &str) -> String {
        variable(self.prefix, key)
    }
}
