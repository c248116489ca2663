//! Reads settings one by one, from flag, environment or file in that order, and collects every mistake on the way.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Mistake, Place, Places};
use super::schema::{Asked, Kind};
use crate::file_rights;

/// What every environment variable of ours begins with: `CHATGATE__SERVER__LISTEN`.
pub(super) const ENVIRONMENT_PREFIX: &str = "CHATGATE__";

/// Where settings come from, before any has been read.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The text of the file.
    pub file: String,
    /// The environment, or as much of it as begins with our prefix or is named by a secret.
    pub environment: BTreeMap<String, String>,
    /// Flags of the command line by the key that they set.
    pub flags: BTreeMap<&'static str, String>,
}

/// A value as written, in whichever of the three places.
enum Written {
    One(String, Place),
    Many(Vec<(String, Place)>),
    Table(Place),
}

pub(super) struct Reader<'a> {
    sources: &'a Sources,
    places: Places<'a>,
    root: DeTable<'a>,
    known: BTreeSet<String>,
    mistakes: Vec<Mistake>,
    /// Files that hold a secret.
    pub(super) secret_files: Vec<PathBuf>,
    /// What has been asked for, when that is all there is to know; see [`Reader::asking`].
    asked: Option<BTreeMap<String, Asked>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(sources: &'a Sources) -> Reader<'a> {
        let (table, errors) = DeTable::parse_recoverable(&sources.file);
        let mut reader = Reader {
            sources,
            places: Places::of(&sources.file),
            root: table.into_inner(),
            known: BTreeSet::new(),
            mistakes: Vec::new(),
            secret_files: Vec::new(),
            asked: None,
        };
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            reader.mistakes.push(Mistake {
                place: reader.places.at(at),
                text: error.message().to_owned(),
            });
        }
        for at in reader.root.values().flat_map(too_large) {
            reader.mistakes.push(Mistake {
                place: reader.places.at(at),
                text: "the number is larger than TOML's, which have 64 bits".to_owned(),
            });
        }
        reader
    }

    /// A reader of nothing, which notes what it is asked for. Every list of tables has one element.
    pub(super) fn asking(nothing: &'a Sources) -> Reader<'a> {
        let mut reader = Reader::new(nothing);
        reader.asked = Some(BTreeMap::new());
        reader
    }

    /// What an asking reader has been asked for.
    pub(super) fn asked(self) -> BTreeMap<String, Asked> {
        self.asked.unwrap_or_default()
    }

    fn note(&mut self, key: &str, asked: impl FnOnce() -> Asked) {
        if let Some(noted) = &mut self.asked {
            noted.insert(key.to_owned(), asked());
        }
    }

    /// A setting with a default.
    pub(super) fn value<T>(
        &mut self,
        key: &str,
        default: &str,
        kind: Kind,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        self.note(key, || Asked::new(kind).or(&[default]));
        match self.read(key, &parse) {
            Some(value) => value,
            None => parse(default)
                .unwrap_or_else(|error| panic!("the default of {key} is wrong: {error}")),
        }
    }

    /// A setting that is one of a few words.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, default: &str, choices: &[(&str, T)]) -> T {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        let kind = Kind::words(&names);
        self.value(key, default, kind, |text| choice(text, choices))
    }

    /// A setting that may be absent. One that is wrong is noted and counts as absent.
    pub(super) fn optional<T>(
        &mut self,
        key: &str,
        kind: Kind,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.note(key, || Asked::new(kind));
        self.read(key, parse)
    }

    /// A setting that its table can't do without.
    pub(super) fn required<T>(
        &mut self,
        key: &str,
        kind: Kind,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.note(key, || Asked::new(kind).required());
        if self.has(key) {
            self.read(key, parse)
        } else {
            self.wrong(key, "it is needed")
        }
    }

    fn read<T>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let (text, place) = match self.written(key)? {
            Written::One(text, place) => (text, place),
            Written::Many(_) => return self.wrong(key, "write one value, not a list"),
            Written::Table(_) => return self.wrong(key, "write a value, not a table"),
        };
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.mistakes.push(Mistake {
                    place,
                    text: format!("{key}: {error}"),
                });
                None
            }
        }
    }

    /// A list with a default; in the environment its elements are separated by commas.
    pub(super) fn list<T>(
        &mut self,
        key: &str,
        default: &[&str],
        kind: Kind,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        self.note(key, || Asked::new(kind).many().or(default));
        let elements = match self.written(key) {
            None => default
                .iter()
                .map(|text| ((*text).to_owned(), Place::Nowhere))
                .collect(),
            Some(Written::Many(elements)) => elements,
            Some(Written::One(text, place)) if !matches!(place, Place::File { .. }) => text
                .split(',')
                .map(|part| (part.trim().to_owned(), place.clone()))
                .filter(|(p, _)| !p.is_empty())
                .collect(),
            Some(Written::One(..) | Written::Table(_)) => {
                self.wrong::<()>(key, "write a list, such as [\"a\", \"b\"]");
                Vec::new()
            }
        };
        let mut values = Vec::with_capacity(elements.len());
        for (text, place) in elements {
            match parse(&text) {
                Ok(value) => values.push(value),
                Err(error) => self.mistakes.push(Mistake {
                    place,
                    text: format!("{key}: {error}"),
                }),
            }
        }
        values
    }

    /// A list of some of a few words; all of them by default.
    pub(super) fn words(&mut self, key: &str, names: &[&'static str]) -> Vec<String> {
        let named: Vec<_> = names.iter().map(|name| (*name, *name)).collect();
        let kind = Kind::words(names);
        let list = self.list(key, names, kind, |text| choice(text, &named));
        list.into_iter().map(str::to_owned).collect()
    }

    /// A secret: `env:NAME` or `file:PATH`; plain only in an environment variable, which is no file that gets shared.
    pub(super) fn secret(&mut self, key: &str) -> Option<String> {
        self.note(key, || Asked::new(Kind::Secret));
        if let Some(Written::One(text, _)) = self.written(key) {
            let file = text.strip_prefix("file:").map(PathBuf::from);
            self.secret_files.extend(file);
        }
        let environment = &self.sources.environment;
        let from_environment = environment.contains_key(&variable(key));
        self.read(key, |text| {
            if let Some(name) = text.strip_prefix("env:") {
                environment
                    .get(name)
                    .cloned()
                    .ok_or_else(|| format!("the environment variable {name} is not set"))
            } else if let Some(path) = text.strip_prefix("file:") {
                file_rights::check_trusted(Path::new(path))?;
                let text =
                    std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
                Ok(text.trim_end_matches(['\r', '\n']).to_owned())
            } else if from_environment {
                Ok(text.to_owned())
            } else {
                Err(
                    "a secret does not stand in the file; write \"env:NAME\" or \"file:PATH\""
                        .to_owned(),
                )
            }
        })
    }

    /// The keys of an array of tables, such as `jwt.issuers`: one prefix for each element, to read settings under.
    pub(super) fn tables(&mut self, key: &str) -> Vec<String> {
        self.known.insert(key.to_owned());
        if self.asked.is_some() {
            self.note(key, || Asked::new(Kind::Table).many());
            return vec![format!("{key}.0")];
        }
        let count = match lookup(&self.root, key).map(Spanned::get_ref) {
            None => return Vec::new(),
            Some(DeValue::Array(elements))
                if elements
                    .iter()
                    .all(|e| matches!(e.get_ref(), DeValue::Table(_))) =>
            {
                elements.len()
            }
            Some(_) => {
                self.wrong::<()>(key, "write tables, each under [[…]]");
                return Vec::new();
            }
        };
        (0..count).map(|index| format!("{key}.{index}")).collect()
    }

    /// Notes a mistake about a key, at the place where it is written.
    pub(super) fn wrong<T>(&mut self, key: &str, text: &str) -> Option<T> {
        let place = match self.written(key) {
            Some(Written::One(_, place) | Written::Table(place)) => place,
            Some(Written::Many(elements)) => elements
                .into_iter()
                .next()
                .map_or(Place::Nowhere, |(_, place)| place),
            None => Place::Nowhere,
        };
        self.mistakes.push(Mistake {
            place,
            text: format!("{key}: {text}"),
        });
        None
    }

    /// Whether a setting is written anywhere.
    pub(super) fn has(&mut self, key: &str) -> bool {
        self.written(key).is_some()
    }

    /// All mistakes, those about keys that nobody asked for among them.
    pub(super) fn finish(mut self) -> (BTreeSet<String>, Vec<Mistake>) {
        let mut unknown = Vec::new();
        self.find_unknown("", &self.root, &mut unknown);
        self.mistakes.extend(unknown);
        for name in self
            .sources
            .environment
            .keys()
            .filter(|name| name.starts_with(ENVIRONMENT_PREFIX))
        {
            if !self.known.iter().any(|key| variable(key) == *name) {
                let place = Place::Environment(name.clone());
                self.mistakes.push(Mistake {
                    place,
                    text: "there is no such setting".to_owned(),
                });
            }
        }
        self.mistakes.sort();
        self.mistakes.dedup();
        (self.known, self.mistakes)
    }

    fn find_unknown(&self, prefix: &str, table: &DeTable<'_>, unknown: &mut Vec<Mistake>) {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            let inner = format!("{key}.");
            let has_inner = self.known.iter().any(|known| known.starts_with(&inner));
            match value.get_ref() {
                DeValue::Table(table) if has_inner => self.find_unknown(&inner, table, unknown),
                DeValue::Array(elements) if has_inner => {
                    for (index, element) in elements.iter().enumerate() {
                        if let DeValue::Table(table) = element.get_ref() {
                            self.find_unknown(&format!("{inner}{index}."), table, unknown);
                        }
                    }
                }
                _ if self.known.contains(&key) => {}
                _ => {
                    let place = self.places.at(name.span().start);
                    let text = format!("{key}: there is no such setting");
                    unknown.push(Mistake { place, text });
                }
            }
        }
    }

    fn written(&mut self, key: &str) -> Option<Written> {
        self.known.insert(key.to_owned());
        if let Some(text) = self.sources.flags.get(key) {
            let flag = key
                .rsplit('.')
                .next()
                .unwrap_or(key)
                .trim_end_matches("_listen");
            return Some(Written::One(text.clone(), Place::Flag(format!("--{flag}"))));
        }
        let name = variable(key);
        if let Some(text) = self.sources.environment.get(&name) {
            return Some(Written::One(text.clone(), Place::Environment(name)));
        }
        let value = lookup(&self.root, key)?;
        let at = |value: &Spanned<DeValue<'_>>| self.places.at(value.span().start);
        Some(match value.get_ref() {
            DeValue::Table(_) => Written::Table(at(value)),
            DeValue::Array(elements) => Written::Many(
                elements
                    .iter()
                    .map(|element| (scalar(element.get_ref()), at(element)))
                    .collect(),
            ),
            scalar_value => Written::One(scalar(scalar_value), at(value)),
        })
    }
}

fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, String> {
    let chosen = choices.iter().find(|(name, _)| *name == text);
    chosen.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        format!("{text} is none of {}", names.join(", "))
    })
}

/// The environment variable of a key.
fn variable(key: &str) -> String {
    format!(
        "{ENVIRONMENT_PREFIX}{}",
        key.replace('.', "__").to_uppercase()
    )
}

/// Where integers stand that are none in TOML; the parser leaves that to its caller.
fn too_large(value: &Spanned<DeValue<'_>>) -> Vec<usize> {
    match value.get_ref() {
        DeValue::Integer(number)
            if i64::from_str_radix(number.as_str(), number.radix()).is_err() =>
        {
            vec![value.span().start]
        }
        DeValue::Array(elements) => elements.iter().flat_map(too_large).collect(),
        DeValue::Table(table) => table.values().flat_map(too_large).collect(),
        _ => Vec::new(),
    }
}

/// Follows a dotted key; a number names an element of an array.
fn lookup<'t, 'a>(root: &'t DeTable<'a>, key: &str) -> Option<&'t Spanned<DeValue<'a>>> {
    let mut parts = key.split('.');
    let mut value = root.get(parts.next()?)?;
    for part in parts {
        value = match value.get_ref() {
            DeValue::Table(table) => table.get(part)?,
            DeValue::Array(elements) => elements.get(part.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(value)
}

pub(super) fn scalar(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(boolean) => boolean.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(_) | DeValue::Table(_) => "(not a single value)".to_owned(),
    }
}
