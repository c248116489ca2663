//! Converts the upstream's JSON to text for XML: strings lose their escapes, and other values keep their source text.

use adapter::JsonPairs;
use serde_json::Deserializer;
use serde_json::value::RawValue;

/// A JSON object. Keys are source text because `serde_json` rejects a key with half a surrogate pair, and one such key must not
/// hide the others.
pub(crate) struct JsonObject<'a> {
    pairs: JsonPairs<'a, &'a RawValue>,
    /// True if a key may contain escapes.
    has_escapes: bool,
}

impl<'a> JsonObject<'a> {
    /// Reads the object at the beginning of the text, and its end. Returns `None` if the text begins with something else.
    pub(crate) fn first(json: &'a str) -> Option<(Self, usize)> {
        let mut values = Deserializer::from_str(json).into_iter();
        let pairs = values.next()?.ok()?;
        let end = values.byte_offset();
        let has_escapes = json[..end].contains('\\');
        Some((JsonObject { pairs, has_escapes }, end))
    }

    /// Returns the source text of a value.
    pub(crate) fn get(&self, key: &str) -> Option<&'a str> {
        let is_key = |raw: &RawValue| {
            let raw = raw.get();
            if self.has_escapes && raw.contains('\\') {
                text(raw) == key
            } else {
                raw.get(1..raw.len().saturating_sub(1)) == Some(key)
            }
        };
        // The last of several equal keys is used, as in most JSON readers.
        let mut pairs = self.pairs.0.iter().rev();
        let found = pairs.find(|(name, _)| is_key(name));
        found.map(|(_, value)| value.get())
    }
}

/// Returns the end of the value that begins at `begin`, in valid JSON without white space between its tokens.
pub(crate) fn value_end(json: &str, begin: usize) -> usize {
    let bytes = json.as_bytes();
    let (mut at, mut depth) = (begin, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at + 1),
            b'[' | b'{' => depth += 1,
            // A comma, or the closing bracket of an outer list or object, ends a number or a word.
            b',' | b']' | b'}' if depth == 0 => return at,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 && matches!(byte, b'"' | b']' | b'}') {
            return at;
        }
    }
    at
}

/// Returns the position of the quote that ends a string.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        match bytes.get(at) {
            None | Some(b'"') => return at,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
}

/// Returns the end of a part of a text. The part begins at `from` and has `length` bytes or a few more, so that it does not end
/// within a character, and in a string neither within an escape nor between the halves of a surrogate pair.
pub(crate) fn part_end(text: &str, (from, length): (usize, usize), is_string: bool) -> usize {
    let bytes = text.as_bytes();
    let most = from.saturating_add(length).min(text.len());
    let mut at = if is_string { from } else { most };
    while at < most {
        at = match bytes[at] {
            b'\\' => escape_end(bytes, at),
            _ => at + 1,
        };
    }
    while at < text.len() && !text.is_char_boundary(at) {
        at += 1;
    }
    at.min(text.len())
}

/// Returns the end of an escape, including the other half of a surrogate pair.
fn escape_end(bytes: &[u8], at: usize) -> usize {
    let unit = |at: usize| {
        let hex = bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        u16::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()
    };
    match unit(at) {
        None => at + 2,
        Some(0xd800..0xdc00) if matches!(unit(at + 6), Some(0xdc00..0xe000)) => at + 12,
        Some(_) => at + 6,
    }
}

/// Returns a value as text: null is empty, a string loses its quotes and escapes, and any other value keeps its source text.
pub(crate) fn text(json: &str) -> String {
    let quoted = json
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match quoted {
        Some(inner) => unescaped(inner),
        None if json == "null" => String::new(),
        None => json.to_owned(),
    }
}

/// Resolves the escapes of a valid JSON string. Half a surrogate pair becomes U+FFFD.
pub(crate) fn unescaped(inner: &str) -> String {
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if rest.starts_with('u') {
            let (units, after) = utf16_units(rest);
            out.extend(char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)));
            rest = after;
            continue;
        }
        let mut chars = rest.chars();
        out.extend(chars.next().map(|c| match c {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            c => c,
        }));
        rest = chars.as_str();
    }
    out.push_str(rest);
    out
}

/// Reads all consecutive `uXXXX`, so that both halves of a surrogate pair are decoded together. `rest` starts after a backslash.
fn utf16_units(rest: &str) -> (Vec<u16>, &str) {
    let mut units = Vec::new();
    let mut at = rest;
    while let Some(after) = at.strip_prefix('u') {
        let unit = after
            .get(..4)
            .and_then(|hex| u16::from_str_radix(hex, 16).ok());
        units.push(unit.unwrap_or(0xfffd));
        let behind = after.get(4..).unwrap_or_default();
        match behind.strip_prefix('\\') {
            Some(next) if next.starts_with('u') => at = next,
            _ => return (units, behind),
        }
    }
    (units, at)
}
