//! Query, urlencoded, multipart and JSON bodies become one set of named values. What is doubled, empty or stray is decided
//! here, once for all ways in.

use std::borrow::Cow;

use bytes::Bytes;
use futures_util::{FutureExt, stream};
use http::header::HeaderName;
use memchr::{memchr_iter, memchr2};
use percent_encoding::percent_decode_str;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::authorization::split_at_first;
use crate::json::has_doubled_key;
use crate::operation::declared_name;
use crate::parameters::parameter;
use crate::{Code, Error, Wire};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Most name-value pairs in one request: the widest operation has nine, and clients add a few strays.
const PAIRS_MAX: usize = 256;

/// The declared names that one request has as a rule, class, method and credentials included.
const FIELDS: usize = 12;

/// The named values of one request. Names that no operation declares are dropped while reading.
#[derive(Debug, Default)]
pub struct Params {
    fields: Vec<Field>,
    pairs: usize,
    doubled_json_key: bool,
    password_in_query: bool,
}

/// Debug prints no value: one of them is a password.
struct Field {
    name: &'static str,
    value: String,
    doubled: Doubled,
    is_text: bool,
}

impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Doubled {
    No,
    Same,
    Different,
}

impl Params {
    /// Reads query and body together; neither goes before the other.
    ///
    /// # Errors
    /// UNSUPPORTED_MEDIA_TYPE, MALFORMED_REQUEST, and INCORRECT_PARAM for a file where a value belongs.
    pub fn read(wire: &Wire<'_>) -> Result<Params, Error> {
        let mut params = Params {
            fields: Vec::with_capacity(FIELDS),
            ..Params::default()
        };
        params.read_urlencoded(wire.query)?;
        params.password_in_query = params.has("password");
        if !wire.body.is_empty() {
            params.read_body(wire)?;
        }
        Ok(params)
    }

    /// Reads the query alone, and whether a body of this media type is taken.
    ///
    /// # Errors
    /// As [`Params::read`], as far as no body is needed to know.
    pub fn read_head(wire: &Wire<'_>) -> Result<Params, Error> {
        let mut params = Params::default();
        params.read_urlencoded(wire.query)?;
        Media::of(wire)?;
        Ok(params)
    }

    /// Takes values that a way in has parsed itself.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> Params {
        let mut params = Params::default();
        for (name, value) in pairs {
            if let Some(name) = declared_name(name) {
                params.add(name, value, true);
            }
        }
        params
    }

    /// Whether a password stood in the query, where logs and proxies on the way see it.
    #[must_use]
    pub fn password_in_query(&self) -> bool {
        self.password_in_query
    }

    /// Whether the name was given with a value; present but empty counts as absent.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.fields
            .iter()
            .any(|field| field.name == name && !field.value.is_empty())
    }

    /// Takes a value out; `None` when it is absent or empty.
    ///
    /// # Errors
    /// INCORRECT_PARAM when it was given twice with different values, as a file, or as JSON that is neither string nor
    /// number.
    pub fn take(&mut self, name: &str) -> Result<Option<String>, Error> {
        let Some(field) = self.fields.iter_mut().find(|field| field.name == name) else {
            return Ok(None);
        };
        if field.doubled == Doubled::Different {
            let text = format!("The parameter {} is given twice.", field.name);
            return Err(Error::explained(Code::IncorrectParam, text));
        }
        if !field.is_text {
            let text = format!("The parameter {} is no text and no number.", field.name);
            return Err(Error::explained(Code::IncorrectParam, text));
        }
        let value = std::mem::take(&mut field.value);
        Ok((!value.is_empty()).then_some(value))
    }

    /// Takes a credential out: given twice, even with one value, is refused.
    ///
    /// # Errors
    /// INCORRECT_PARAM as in [`Params::take`], and for any doubling.
    pub fn take_credential(&mut self, name: &str) -> Result<Option<String>, Error> {
        let doubled = self
            .fields
            .iter()
            .any(|field| field.name == name && field.doubled != Doubled::No);
        if doubled {
            return Err(Error::explained(
                Code::IncorrectParam,
                "A credential is given twice.",
            ));
        }
        self.take(name)
    }

    /// Refuses `user` and `password` beside credentials that came another way.
    ///
    /// # Errors
    /// INCORRECT_PARAM when either has a value.
    pub fn refuse_credentials(&self) -> Result<(), Error> {
        if self.has("user") || self.has("password") {
            let text = "The parameters user and password don't go with an Authorization header.";
            return Err(Error::explained(Code::IncorrectParam, text));
        }
        Ok(())
    }

    /// Asks that class and method are there, whatever they say.
    ///
    /// # Errors
    /// MISSING_CLASS, MISSING_METHOD.
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

    /// The idempotency key from the header `Idempotency-Key` or the parameter `idempotency_key`.
    ///
    /// # Errors
    /// INCORRECT_PARAM when the places that carry it do not agree.
    pub fn take_idempotency_key(&mut self, wire: &Wire<'_>) -> Result<Option<String>, Error> {
        let mut key = self.take("idempotency_key")?;
        if !wire.headers.contains_key(IDEMPOTENCY_KEY) {
            return Ok(key);
        }
        for value in wire.headers.get_all(IDEMPOTENCY_KEY) {
            let value = value.to_str().unwrap_or_default().to_owned();
            if key.as_ref().is_some_and(|key| *key != value) {
                return Err(Error::explained(
                    Code::IncorrectParam,
                    "The idempotency keys don't agree.",
                ));
            }
            key = Some(value);
        }
        Ok(key)
    }

    pub(crate) fn refuse_doubled_keys(&self) -> Result<(), Error> {
        if self.doubled_json_key {
            return Err(Error::explained(
                Code::IncorrectParam,
                "A key of the JSON body is given twice.",
            ));
        }
        Ok(())
    }

    fn read_body(&mut self, wire: &Wire<'_>) -> Result<(), Error> {
        match Media::of(wire)? {
            Media::Form => {
                let text = std::str::from_utf8(wire.body)
                    .map_err(|_| malformed("The form is not UTF-8."))?;
                self.read_urlencoded(text)
            }
            Media::Multipart(boundary) => self.read_multipart(wire.body, boundary),
            Media::Json => self.read_json(wire.body),
        }
    }

    /// The WHATWG form rules: `&` parts, the first `=` splits, `+` is a space, a lone `%` stands for itself.
    fn read_urlencoded(&mut self, text: &str) -> Result<(), Error> {
        // Nearly nothing is encoded, which one look over all pairs tells.
        let is_coded = |text: &str| memchr2(b'+', b'%', text.as_bytes()).is_some();
        let may_be_coded = is_coded(text);
        let mut start = 0;
        for end in memchr_iter(b'&', text.as_bytes()).chain([text.len()]) {
            let pair = &text[start..end];
            self.read_pair(pair, may_be_coded && is_coded(pair))?;
            start = end + 1;
        }
        Ok(())
    }

    fn read_pair(&mut self, pair: &str, is_coded: bool) -> Result<(), Error> {
        if pair.is_empty() {
            return Ok(());
        }
        self.count()?;
        let (name, value) = split_at_first(pair, b'=');
        let value = value.unwrap_or_default();
        let decoded = |text| {
            if is_coded {
                decoded(text)
            } else {
                Ok(Cow::Borrowed(text))
            }
        };
        // A name that is not UTF-8 can't be a declared one.
        let Ok(name) = decoded(name) else {
            return Ok(());
        };
        if let Some(name) = declared_name(&name) {
            let value = decoded(value).map_err(|_| malformed("A value is not UTF-8."))?;
            self.add(name, value.into_owned(), true);
        }
        Ok(())
    }

    /// RFC 7578. All bytes are here, so the reader never has to wait.
    fn read_multipart(&mut self, body: &Bytes, boundary: String) -> Result<(), Error> {
        let whole = stream::iter([Ok::<_, std::convert::Infallible>(body.clone())]);
        let mut multipart = multer::Multipart::new(whole, boundary);
        let mut read = async || {
            while let Some(field) = multipart
                .next_field()
                .await
                .map_err(|_| malformed("The multipart body is broken."))?
            {
                self.count()?;
                let Some(name) = part_name(field.headers())? else {
                    continue;
                };
                let is_file = is_file(field.headers());
                if is_file && (name == "user" || name == "password") {
                    let text = "A credential is a file; a value belongs there.";
                    return Err(Error::explained(Code::IncorrectParam, text));
                }
                if has_parts(field.headers()) {
                    return Err(malformed("Parts of parts are not taken."));
                }
                let bytes = field
                    .bytes()
                    .await
                    .map_err(|_| malformed("The multipart body is broken."))?;
                // A file where a value belongs is a mistake in the call, to be told once the caller is known.
                let value = match String::from_utf8(bytes.into()) {
                    Err(_) if is_file => "(file)".to_owned(),
                    value => value.map_err(|_| malformed("A value is not UTF-8."))?,
                };
                self.add(name, value, !is_file);
            }
            Ok(())
        };
        read()
            .now_or_never()
            .unwrap_or_else(|| Err(malformed("The multipart body is broken.")))
    }

    fn read_json(&mut self, body: &Bytes) -> Result<(), Error> {
        let mut reader = serde_json::Deserializer::from_slice(body);
        let pairs = (&mut reader)
            .deserialize_map(JsonPairs)
            .and_then(|pairs| reader.end().map(|()| pairs))
            .map_err(|_| malformed("The body is not a JSON object."))?;
        let mut seen = std::collections::HashSet::new();
        for (name, raw) in pairs {
            self.count()?;
            self.doubled_json_key |= !seen.insert(name.clone());
            let raw = raw.get();
            self.doubled_json_key |= raw.starts_with(['{', '[']) && has_doubled_key(raw);
            let Some(name) = declared_name(&name) else {
                continue;
            };
            match raw.as_bytes().first() {
                Some(b'"') => {
                    let value = serde_json::from_str(raw)
                        .map_err(|_| malformed("A JSON string is broken."))?;
                    self.add(name, value, true);
                }
                Some(b'-' | b'0'..=b'9') => self.add(name, raw.to_owned(), true),
                _ => self.add(name, raw.to_owned(), false),
            }
        }
        // A credential in an object with that key twice: which of the two was meant can't be known.
        if self.doubled_json_key && (self.has("user") || self.has("password")) {
            let twice = |name| {
                self.fields
                    .iter()
                    .any(|f| f.name == name && f.doubled != Doubled::No)
            };
            if twice("user") || twice("password") {
                self.refuse_doubled_keys()?;
            }
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), Error> {
        self.pairs += 1;
        if self.pairs > PAIRS_MAX {
            Err(malformed("There are too many parameters."))
        } else {
            Ok(())
        }
    }

    fn add(&mut self, name: &'static str, value: String, is_text: bool) {
        match self.fields.iter_mut().find(|field| field.name == name) {
            None => self.fields.push(Field {
                name,
                value,
                doubled: Doubled::No,
                is_text,
            }),
            Some(field) if field.value == value && field.doubled != Doubled::Different => {
                field.doubled = Doubled::Same;
            }
            Some(field) => field.doubled = Doubled::Different,
        }
    }
}

/// What a body is, by its head.
enum Media {
    Form,
    /// With its boundary.
    Multipart(String),
    Json,
}

impl Media {
    fn of(wire: &Wire<'_>) -> Result<Media, Error> {
        refuse_compression(wire)?;
        let media_type = match wire.headers.get(http::header::CONTENT_TYPE) {
            Some(value) => value
                .to_str()
                .map_err(|_| Error::refused(Code::UnsupportedMediaType))?,
            None => "",
        };
        let essence = media_type.split(';').next().unwrap_or("").trim();
        if essence.is_empty() || essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Ok(Media::Form)
        } else if essence.eq_ignore_ascii_case("multipart/form-data") {
            let boundary = parameter(media_type.as_bytes(), "boundary").ok().flatten();
            let boundary = boundary.and_then(|bytes| String::from_utf8(bytes.into_owned()).ok());
            let boundary = boundary.filter(|boundary| !boundary.is_empty());
            let missing = || malformed("The boundary is missing, or given twice.");
            boundary.map(Media::Multipart).ok_or_else(missing)
        } else if essence.eq_ignore_ascii_case("application/json") {
            Ok(Media::Json)
        } else {
            Err(Error::refused(Code::UnsupportedMediaType))
        }
    }
}

/// A compressed body read as it stands would be read wrongly.
fn refuse_compression(wire: &Wire<'_>) -> Result<(), Error> {
    let lines = wire.headers.get_all(http::header::CONTENT_ENCODING).iter();
    let mut codings = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    // A list may have empty elements (RFC 9110, 5.6.1.2).
    let is_plain = |coding: &[u8]| coding.is_empty() || coding.eq_ignore_ascii_case(b"identity");
    if codings.any(|coding| !is_plain(coding.trim_ascii())) {
        let text = "Compressed bodies are not taken.";
        return Err(Error::explained(Code::UnsupportedMediaType, text));
    }
    if wire
        .headers
        .get_all(http::header::CONTENT_TYPE)
        .iter()
        .count()
        > 1
    {
        return Err(malformed("The Content-Type header is given twice."));
    }
    Ok(())
}

/// The declared name that a part is for, if it is for one (RFC 7578, 4.2).
fn part_name(headers: &http::HeaderMap) -> Result<Option<&'static str>, Error> {
    let Some(disposition) = headers.get(http::header::CONTENT_DISPOSITION) else {
        return Ok(None);
    };
    let name = parameter(disposition.as_bytes(), "name")
        .map_err(|_| malformed("The name of a part can't be read."))?;
    Ok(name.and_then(|name| declared_name(std::str::from_utf8(&name).ok()?)))
}

/// Whether a part says that it has parts of its own.
fn has_parts(headers: &http::HeaderMap) -> bool {
    const MULTIPART: &[u8] = b"multipart/";
    let media_type = headers.get(http::header::CONTENT_TYPE);
    let start = media_type.and_then(|value| value.as_bytes().trim_ascii().get(..MULTIPART.len()));
    start.is_some_and(|start| start.eq_ignore_ascii_case(MULTIPART))
}

/// Whether a part is a file, by either spelling of its name (RFC 7578, 4.2; RFC 8187).
fn is_file(headers: &http::HeaderMap) -> bool {
    let disposition = headers.get(http::header::CONTENT_DISPOSITION);
    let bytes = disposition
        .map_or(&b""[..], |value| value.as_bytes())
        .to_ascii_lowercase();
    // A name that merely holds this text is none of the declared ones.
    bytes
        .windows(b"filename".len())
        .any(|window| window == b"filename")
}

/// A JSON object as its pairs in order, doubled keys and all.
struct JsonPairs;

impl<'de> Visitor<'de> for JsonPairs {
    type Value = Vec<(String, Box<RawValue>)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(pairs)
    }
}

/// Whether a value holds a control character, U+FFFE or U+FFFF; `line_ends` allows TAB, LF and CR.
#[must_use]
pub fn has_forbidden_character(value: &str, line_ends: bool) -> bool {
    // Nearly every value is printable ASCII, which is seen for many bytes at once.
    if value
        .bytes()
        .fold(true, |printable, b| printable & (b' '..=b'~').contains(&b))
    {
        return false;
    }
    value.chars().any(|c| match c {
        '\t' | '\n' | '\r' => !line_ends,
        '\u{fffe}' | '\u{ffff}' => true,
        c => c.is_control(),
    })
}

fn decoded(text: &str) -> Result<Cow<'_, str>, std::string::FromUtf8Error> {
    let spaced = text.replace('+', " ");
    String::from_utf8(percent_decode_str(&spaced).collect()).map(Cow::Owned)
}

fn malformed(text: &'static str) -> Error {
    Error::explained(Code::MalformedRequest, text)
}

#[cfg(test)]
mod tests;
