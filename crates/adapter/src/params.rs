//! Reads query, urlencoded, multipart and JSON bodies as one set of named values. The treatment of duplicate, empty and undeclared
//! names is decided here, once for all ways in.

use std::collections::HashSet;

use bytes::Bytes;
use http::header::HeaderName;

use crate::code::Code;
use crate::error::Error;
use crate::form::form_pairs;
use crate::json::{JsonPairs, has_doubled_key};
use crate::media::Media;
use crate::multipart::read_parts;
use crate::operation::declared_name;
use crate::pair_count::PairCount;
use crate::text::has_forbidden_character;
use crate::wire::Wire;

/// Maximum length of an idempotency key, in bytes: four times the length of any key that a client library generates.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The usual number of declared names in one request, including class, method and credentials.
const VALUES: usize = 12;

/// The named values of one request. Names that no operation declares are dropped while reading.
#[derive(Debug, Default)]
pub struct Params {
    values: Vec<NamedValue>,
    pairs: PairCount,
    doubled_json_key: bool,
    password_in_query: bool,
}

/// Debug prints no value, because one of the values is a password.
struct NamedValue {
    name: &'static str,
    value: String,
    doubled: DuplicateValue,
    is_text: bool,
}

impl std::fmt::Debug for NamedValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum DuplicateValue {
    No,
    Same,
    Different,
}

impl Params {
    /// Reads query and body together; neither takes precedence.
    ///
    /// # Errors
    /// UNSUPPORTED_MEDIA_TYPE, MALFORMED_REQUEST, or INCORRECT_PARAM for a file in place of a value.
    pub fn read(wire: &Wire<'_>) -> Result<Params, Error> {
        let mut params = Params {
            values: Vec::with_capacity(VALUES),
            ..Params::default()
        };
        params.read_urlencoded(wire.query)?;
        params.password_in_query = params.has("password");
        if !wire.body.is_empty() {
            params.read_body(wire)?;
        }
        Ok(params)
    }

    /// Reads the query alone, and checks that a body of this media type is accepted.
    ///
    /// # Errors
    /// The errors of [`Params::read`] that do not depend on the body.
    pub fn read_head(wire: &Wire<'_>) -> Result<Params, Error> {
        let mut params = Params::default();
        params.read_urlencoded(wire.query)?;
        Media::of(wire)?;
        Ok(params)
    }

    /// Creates a set of values that a way in has parsed itself.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> Params {
        let mut params = Params {
            values: Vec::with_capacity(VALUES),
            ..Params::default()
        };
        for (name, value) in pairs {
            if let Some(name) = declared_name(name) {
                add(&mut params.values, name, value, true);
            }
        }
        params
    }

    /// Returns whether the query contained a password, where logs and proxies can read it.
    #[must_use]
    pub fn password_in_query(&self) -> bool {
        self.password_in_query
    }

    /// Returns whether the name was given with a non-empty value at least once. An empty value counts as absent.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        let mut values = self.values.iter();
        values.any(|value| {
            let has_value = !value.value.is_empty() || value.doubled == DuplicateValue::Different;
            value.name == name && has_value
        })
    }

    /// Removes a value and returns it; `None` if it is absent or empty.
    ///
    /// # Errors
    /// INCORRECT_PARAM if the value was given twice with different content, as a file, or as JSON that is neither string nor
    /// number.
    pub fn take(&mut self, name: &str) -> Result<Option<String>, Error> {
        let Some(found) = self.values.iter_mut().find(|value| value.name == name) else {
            return Ok(None);
        };
        if found.doubled == DuplicateValue::Different {
            return Err(given_twice(found.name));
        }
        if !found.is_text {
            let text = format!("The parameter {} is neither text nor a number.", found.name);
            return Err(Error::incorrect(text));
        }
        let value = std::mem::take(&mut found.value);
        Ok((!value.is_empty()).then_some(value))
    }

    /// Removes a credential and returns it. A credential that is given twice is rejected, even with the same value.
    ///
    /// # Errors
    /// INCORRECT_PARAM as in [`Params::take`], and for any duplicate.
    pub fn take_credential(&mut self, name: &str) -> Result<Option<String>, Error> {
        if self.is_doubled(name) {
            return Err(Error::incorrect("A credential is given twice."));
        }
        self.take(name)
    }

    /// Rejects `user` and `password` in addition to credentials of another kind.
    ///
    /// # Errors
    /// INCORRECT_PARAM if either has a value or is given twice.
    pub fn refuse_credentials(&self) -> Result<(), Error> {
        for name in ["user", "password"] {
            if self.is_doubled(name) {
                return Err(Error::incorrect("A credential is given twice."));
            }
        }
        if self.has("user") || self.has("password") {
            let text =
                "The parameters user and password can't be combined with an Authorization header.";
            return Err(Error::incorrect(text));
        }
        Ok(())
    }

    /// Requires class and method, with any value.
    ///
    /// # Errors
    /// MISSING_CLASS or MISSING_METHOD.
    pub fn require_class_and_method(&self) -> Result<(), Error> {
        for (name, code) in [
            ("class", Code::MissingClass),
            ("method", Code::MissingMethod),
        ] {
            if !self.has(name) {
                return Err(Error::refused(code));
            }
        }
        Ok(())
    }

    /// Removes the idempotency key and returns it, from the header `Idempotency-Key` or the parameter `idempotency_key`.
    ///
    /// # Errors
    /// INCORRECT_PARAM if the places that carry the key disagree.
    pub fn take_idempotency_key(&mut self, wire: &Wire<'_>) -> Result<Option<String>, Error> {
        let mut key = self.take("idempotency_key")?;
        if !wire.headers.contains_key(IDEMPOTENCY_KEY) {
            return Ok(key);
        }
        for value in wire.headers.get_all(IDEMPOTENCY_KEY) {
            let value = value.to_str().unwrap_or_default().to_owned();
            if key.as_ref().is_some_and(|key| *key != value) {
                return Err(Error::incorrect("The idempotency keys don't agree."));
            }
            key = Some(value);
        }
        Ok(key)
    }

    pub(crate) fn refuse_doubled_keys(&self) -> Result<(), Error> {
        if self.doubled_json_key {
            return Err(Error::incorrect("A key of the JSON body is given twice."));
        }
        Ok(())
    }

    /// Checks the values of declared names that nobody has taken.
    ///
    /// # Errors
    /// INCORRECT_PARAM if a name was given twice with different values, or if a value contains a forbidden character.
    pub(crate) fn refuse_unused(&self) -> Result<(), Error> {
        for unused in &self.values {
            if unused.doubled == DuplicateValue::Different {
                return Err(given_twice(unused.name));
            }
            if has_forbidden_character(&unused.value, unused.name == "message") {
                return Err(forbidden_character(unused.name));
            }
        }
        Ok(())
    }

    fn read_body(&mut self, wire: &Wire<'_>) -> Result<(), Error> {
        match Media::of(wire)? {
            Media::Form => {
                let text = std::str::from_utf8(wire.body)
                    .map_err(|_| Error::malformed("The form is not UTF-8."))?;
                self.read_urlencoded(text)
            }
            Media::Multipart(boundary) => {
                read_parts(wire.body, boundary, &mut self.pairs, |part| {
                    add(&mut self.values, part.name, part.value, !part.is_file);
                })
            }
            Media::Json => self.read_json(wire.body),
        }
    }

    fn read_urlencoded(&mut self, text: &str) -> Result<(), Error> {
        for pair in form_pairs(text) {
            self.pairs.add()?;
            // A name that is not UTF-8 cannot be a declared name.
            if let Some(name) = pair.name().and_then(|name| declared_name(&name)) {
                let value = pair.value();
                let value = value.ok_or_else(|| Error::malformed("A value is not UTF-8."))?;
                add(&mut self.values, name, value.into_owned(), true);
            }
        }
        Ok(())
    }

    fn read_json(&mut self, body: &Bytes) -> Result<(), Error> {
        let JsonPairs(pairs) = serde_json::from_slice::<JsonPairs<'_, String>>(body)
            .map_err(|_| Error::malformed("The body is not a JSON object."))?;
        let mut seen = HashSet::with_capacity(pairs.len());
        for (name, raw) in &pairs {
            self.pairs.add()?;
            let raw = raw.get();
            self.doubled_json_key |= !seen.insert(name);
            self.doubled_json_key |= raw.starts_with(['{', '[']) && has_doubled_key(raw);
            let Some(name) = declared_name(name) else {
                continue;
            };
            let is_string = raw.starts_with('"');
            let is_number = raw.starts_with(|c: char| c == '-' || c.is_ascii_digit());
            let value = if is_string {
                serde_json::from_str(raw)
                    .map_err(|_| Error::malformed("A JSON string is broken."))?
            } else {
                raw.to_owned()
            };
            add(&mut self.values, name, value, is_string || is_number);
        }
        // The intended value of a duplicate credential is unknown.
        let has_credential = self.has("user") || self.has("password");
        if has_credential && (self.is_doubled("user") || self.is_doubled("password")) {
            self.refuse_doubled_keys()?;
        }
        Ok(())
    }

    fn is_doubled(&self, name: &str) -> bool {
        let mut values = self.values.iter();
        values.any(|value| value.name == name && value.doubled != DuplicateValue::No)
    }
}

fn given_twice(name: &str) -> Error {
    Error::incorrect(format!("The parameter {name} is given twice."))
}

pub(crate) fn forbidden_character(name: &str) -> Error {
    Error::incorrect(format!(
        "The parameter {name} contains a character that is not allowed."
    ))
}

fn add(values: &mut Vec<NamedValue>, name: &'static str, value: String, is_text: bool) {
    match values.iter_mut().find(|known| known.name == name) {
        None => values.push(NamedValue {
            name,
            value,
            doubled: DuplicateValue::No,
            is_text,
        }),
        Some(known) if known.value == value && known.doubled != DuplicateValue::Different => {
            known.doubled = DuplicateValue::Same;
        }
        Some(known) => known.doubled = DuplicateValue::Different,
    }
}

#[cfg(test)]
mod tests;
