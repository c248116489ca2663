//! Bytes become characters, and characters are judged by the productions of XML 1.0, fifth edition.

use std::borrow::Cow;

use super::{Checked, XmlError};

/// Largest document, in bytes: sixteen times the longest message, and so little that parsing it can't hold a thread up.
pub(crate) const BYTES_MAX: usize = 256 * 1024;

/// Which family of encodings the bytes are in; a declaration must not say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// UTF-8 that stays within ASCII.
    Ascii,
    /// UTF-8, with or without its mark.
    Utf8,
    /// UTF-16 with its mark.
    Utf16,
}

impl Encoding {
    /// Whether bytes in this encoding may be called `label`.
    pub(crate) fn answers_to(self, label: &str) -> bool {
        match label.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" => self != Encoding::Utf16,
            "us-ascii" | "ascii" => self == Encoding::Ascii,
            "utf-16" => self == Encoding::Utf16,
            _ => false,
        }
    }
}

/// A document as characters.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    /// The characters, without a byte order mark.
    pub(crate) text: Cow<'a, str>,
    /// What they were written in.
    pub(crate) encoding: Encoding,
}

impl Source<'_> {
    /// Reads UTF-8, or UTF-16 that starts with its mark.
    pub(crate) fn read(bytes: &[u8]) -> Result<Source<'_>, XmlError> {
        if bytes.len() > BYTES_MAX {
            return Err(XmlError::new("The document is too large.", BYTES_MAX));
        }
        let source = match bytes {
            [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
            [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
            [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest)?,
            _ => utf8(bytes)?,
        };
        // ASCII is judged for many bytes at once, and is all that most documents have.
        let is_plain = |b: u8| matches!(b, b'\t' | b'\n' | b'\r' | b' '..=0x7f);
        let bytes = source.text.bytes();
        if bytes.fold(true, |plain, b| plain & is_plain(b)) {
            return Ok(source);
        }
        let bad = |c: char| !is_char(c);
        match source.text.find(bad) {
            Some(at) => Err(XmlError::new("There is a character XML forbids.", at)),
            None => Ok(source),
        }
    }
}

fn utf8(bytes: &[u8]) -> Result<Source<'_>, XmlError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| XmlError::new("The document is not UTF-8.", error.valid_up_to()))?;
    Ok(Source {
        encoding: if text.is_ascii() {
            Encoding::Ascii
        } else {
            Encoding::Utf8
        },
        text: Cow::Borrowed(text),
    })
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Source<'_>, XmlError> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let text: Result<String, _> =
        char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).collect();
    match text {
        Ok(text) if rest.is_empty() => Ok(Source {
            text: Cow::Owned(text),
            encoding: Encoding::Utf16,
        }),
        _ => Err(XmlError::new("The document is not UTF-16.", 0)),
    }
}

/// Production 2, Char.
pub(crate) fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Production 3, S.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// Whether there is nothing but white space.
pub(crate) fn is_blank(text: &str) -> bool {
    text.chars().all(is_space)
}

/// Production 4, NameStartChar, without the colon, which namespaces reserve.
fn is_name_start(c: char) -> bool {
    matches!(c, 'A'..='Z' | 'a'..='z' | '_'
        | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}'
        | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}'
        | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}' | '\u{10000}'..='\u{effff}')
}

/// Production 4a, NameChar, without the colon.
fn is_name_char(c: char) -> bool {
    is_name_start(c)
        || matches!(c, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}

/// A name without a colon.
pub(crate) fn is_ncname(name: &str) -> bool {
    name.starts_with(is_name_start) && name.chars().all(is_name_char)
}

/// A name's prefix, empty when it has none, and its local part.
pub(super) fn split_qname(name: &str) -> Checked<(&str, &str)> {
    let (prefix, local) = match name.split_once(':') {
        Some((prefix, local)) if is_ncname(prefix) => (prefix, local),
        None => ("", name),
        Some(_) => return Err("A name is not one that XML allows."),
    };
    if is_ncname(local) {
        Ok((prefix, local))
    } else {
        Err("A name is not one that XML allows.")
    }
}

/// Adds literal text with its line ends as XML wants them: CR LF and a lone CR become LF.
pub(super) fn push_lines(out: &mut String, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find('\r') {
        out.push_str(&rest[..at]);
        out.push('\n');
        rest = &rest[at + 1..];
        rest = rest.strip_prefix('\n').unwrap_or(rest);
    }
    out.push_str(rest);
}
