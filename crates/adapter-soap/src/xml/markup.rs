//! Reads the inside of tags, declarations and references from their source text. quick-xml only finds where they end and does not
//! check whether their content is well formed.

use std::borrow::Cow;

use super::chars::{is_char, is_ncname, is_space};
use super::charset::{CHARSETS_TAKEN, Charset, SourceCharset};
use super::error::CheckResult;

/// Maximum number of attributes of one element, including namespace declarations. SOAP needs a handful, and the cost of detecting
/// duplicates grows with the square of their number.
pub(super) const ATTRIBUTES_MAX: usize = 64;

/// A start tag or the tag of an empty element.
pub(super) struct Tag<'a> {
    /// The name as written.
    pub(super) name: &'a str,
    /// The attributes as written; references in values are not resolved.
    pub(super) attributes: Vec<(&'a str, &'a str)>,
    /// True if the tag closes itself.
    pub(super) empty: bool,
}

/// Reads `<name …>` or `<name …/>`.
pub(super) fn start_tag(raw: &str) -> CheckResult<Tag<'_>> {
    let inner = raw
        .strip_prefix('<')
        .and_then(|rest| rest.strip_suffix('>'))
        .ok_or("A tag is broken.")?;
    let (inner, empty) = match inner.strip_suffix('/') {
        Some(inner) => (inner, true),
        None => (inner, false),
    };
    let (name, rest) = inner.split_at(inner.find(is_space).unwrap_or(inner.len()));
    Ok(Tag {
        name,
        attributes: attributes(rest)?,
        empty,
    })
}

/// Reads the text after the name: any number of attributes, each with white space before it, an equals sign and a quoted value, and
/// then white space.
fn attributes(mut rest: &str) -> CheckResult<Vec<(&str, &str)>> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    loop {
        let next = rest.trim_start_matches(is_space);
        if next.is_empty() {
            return Ok(found);
        }
        if next.len() == rest.len() {
            return Err("White space is missing before an attribute.");
        }
        let (name, after) = next.split_once('=').ok_or("An attribute has no value.")?;
        let name = name.trim_end_matches(is_space);
        let after = after.trim_start_matches(is_space);
        let quote = after
            .chars()
            .next()
            .filter(|c| matches!(c, '"' | '\''))
            .ok_or("An attribute's value is not quoted.")?;
        let (value, after) = after[1..]
            .split_once(quote)
            .ok_or("An attribute's value is not closed.")?;
        if value.contains('<') {
            return Err("An attribute's value contains an unescaped <.");
        }
        if found.iter().any(|(other, _)| *other == name) {
            return Err("An attribute is given twice.");
        }
        if found.len() == ATTRIBUTES_MAX {
            return Err("An element has too many attributes.");
        }
        found.push((name, value));
        rest = after;
    }
}

/// Resolves references in a value and turns literal white space into spaces, as XML 1.0, section 3.3.3 requires.
pub(super) fn attribute_value(raw: &str) -> CheckResult<Cow<'_, str>> {
    if !raw.contains(['&', '\r', '\t', '\n']) {
        return Ok(Cow::Borrowed(raw));
    }
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '&' => {
                let (name, after) = rest.split_once(';').ok_or("A reference is not closed.")?;
                value.push(reference(name)?);
                rest = after;
            }
            '\r' => {
                value.push(' ');
                rest = rest.strip_prefix('\n').unwrap_or(rest);
            }
            '\t' | '\n' => value.push(' '),
            c => value.push(c),
        }
    }
    Ok(Cow::Owned(value))
}

/// Returns the character that a reference stands for; `name` is the text between `&` and `;`.
pub(super) fn reference(name: &str) -> CheckResult<char> {
    let Some(number) = name.strip_prefix('#') else {
        return match name {
            "amp" => Ok('&'),
            "lt" => Ok('<'),
            "gt" => Ok('>'),
            "quot" => Ok('"'),
            "apos" => Ok('\''),
            _ => Err("An entity is not one of the five that XML defines."),
        };
    };
    let (digits, radix) = match number.strip_prefix('x') {
        Some(digits) => (digits, 16),
        None => (number, 10),
    };
    // `from_str_radix` would accept a sign. It returns an error for a number that is too large, which is not a character either.
    if !digits.chars().all(|c| c.is_digit(radix)) {
        return Err("A character reference is broken.");
    }
    u32::from_str_radix(digits, radix)
        .ok()
        .and_then(char::from_u32)
        .filter(|c| is_char(*c))
        .ok_or("A character reference names a character that XML does not allow.")
}

/// Checks `<?xml …?>`: it is well formed and does not name an encoding other than the document's.
pub(super) fn check_declaration(raw: &str, of_document: SourceCharset) -> CheckResult<()> {
    let Some(label) = declared_encoding(raw)? else {
        return Ok(());
    };
    match Charset::named(label) {
        None => Err(CHARSETS_TAKEN),
        Some(charset) if of_document.answers_to(charset) => Ok(()),
        Some(_) => Err("The declared encoding is not the encoding of the document."),
    }
}

/// Returns the encoding that `<?xml …?>` names. Version, encoding and standalone must be in that order, each with a legal value.
pub(super) fn declared_encoding(raw: &str) -> CheckResult<Option<&str>> {
    const BROKEN: &str = "The XML declaration is broken.";
    let inner = raw
        .strip_prefix("<?xml")
        .and_then(|rest| rest.strip_suffix("?>"))
        .ok_or(BROKEN)?;
    let found = attributes(inner).map_err(|_| BROKEN)?;
    let mut parts = found.as_slice();
    let mut part = |name: &str| match parts {
        [(found, value), rest @ ..] if *found == name => {
            parts = rest;
            Some(*value)
        }
        _ => None,
    };
    let version = part("version").and_then(|value| value.strip_prefix("1."));
    let version_is_right =
        version.is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit()));
    let label = part("encoding");
    let standalone = part("standalone").is_none_or(|value| matches!(value, "yes" | "no"));
    if !version_is_right || !standalone || !parts.is_empty() {
        return Err(BROKEN);
    }
    Ok(label)
}

/// Checks `<?target …?>`.
pub(super) fn check_instruction(raw: &str) -> CheckResult<()> {
    let inner = raw
        .strip_prefix("<?")
        .and_then(|rest| rest.strip_suffix("?>"))
        .ok_or("A processing instruction is broken.")?;
    let target = inner.split(is_space).next().unwrap_or_default();
    if !is_ncname(target) || target.eq_ignore_ascii_case("xml") {
        return Err("A processing instruction has a target that XML forbids.");
    }
    Ok(())
}

/// Checks `<!--…-->`.
pub(super) fn check_comment(raw: &str) -> CheckResult<()> {
    let inner = raw
        .strip_prefix("<!--")
        .and_then(|rest| rest.strip_suffix("-->"))
        .ok_or("A comment is broken.")?;
    if inner.contains("--") || inner.ends_with('-') {
        return Err("A comment contains two hyphens in a row.");
    }
    Ok(())
}
