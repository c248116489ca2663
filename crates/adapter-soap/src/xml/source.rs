//! Decodes the bytes of a document to characters. The byte order mark takes precedence over the transport's charset, and that over
//! the XML declaration (RFC 7303, 3). If two of them name a character set, they must agree.

use std::borrow::Cow;

use super::chars::is_char;
use super::charset::{Charset, SourceCharset};
use super::error::{TOO_LARGE, XmlError};
use super::markup;

/// Maximum size of a document, in bytes, both as received and as UTF-8. It is sixteen times the longest message, and small enough
/// that parsing does not occupy a thread for long.
pub(super) const BYTES_MAX: usize = 256 * 1024;

/// A document as characters.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    /// The characters, without a byte order mark.
    pub(crate) text: Cow<'a, str>,
    /// The character set of the document as received.
    pub(super) charset: SourceCharset,
}

impl Source<'_> {
    /// Reads a document; `charset` is the character set according to the transport.
    ///
    /// # Errors
    /// The document is larger than [`BYTES_MAX`], is not in its character set, or contains characters that XML forbids.
    pub(crate) fn read(bytes: &[u8], charset: Option<Charset>) -> Result<Source<'_>, XmlError> {
        if bytes.len() > BYTES_MAX {
            return Err(XmlError::new(TOO_LARGE, BYTES_MAX));
        }
        let source = match bytes {
            [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
            [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
            [0xef, 0xbb, 0xbf, rest @ ..] => utf8(rest)?,
            _ => match charset.or_else(|| declared(bytes)) {
                Some(Charset::Latin1) => latin1(bytes),
                Some(Charset::Ascii) => ascii(bytes)?,
                Some(Charset::Utf16) => {
                    return Err(XmlError::new(
                        "A UTF-16 document must begin with a byte order mark.",
                        0,
                    ));
                }
                Some(Charset::Utf8) | None => utf8(bytes)?,
            },
        };
        // A character can have twice as many bytes in UTF-8.
        if source.text.len() > BYTES_MAX {
            return Err(XmlError::new(TOO_LARGE, BYTES_MAX));
        }
        // Most documents are pure ASCII, and this check handles many bytes at a time.
        let is_plain = |b: u8| matches!(b, b'\t' | b'\n' | b'\r' | b' '..=0x7f);
        let bytes = source.text.bytes();
        if bytes.fold(true, |plain, b| plain & is_plain(b)) {
            return Ok(source);
        }
        let bad = |c: char| !is_char(c);
        match source.text.find(bad) {
            Some(at) => Err(XmlError::new(
                "The document contains a character that XML forbids.",
                at,
            )),
            None => Ok(source),
        }
    }

    /// Returns whether the transport may declare this character set for the document.
    pub(crate) fn answers_to(&self, charset: Charset) -> bool {
        self.charset.answers_to(charset)
    }
}

/// Returns the character set that the declaration names, if it can be read before the character set is known. Errors in the
/// declaration are reported later, when it is read as a part of the document.
fn declared(bytes: &[u8]) -> Option<Charset> {
    if !bytes.starts_with(b"<?xml") {
        return None;
    }
    let end = bytes.windows(2).position(|pair| pair == b"?>")? + 2;
    let declaration = std::str::from_utf8(&bytes[..end]).ok()?;
    let label = markup::declared_encoding(declaration).ok()??;
    Charset::named(label)
}

fn utf8(bytes: &[u8]) -> Result<Source<'_>, XmlError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| XmlError::new("The document is not UTF-8.", error.valid_up_to()))?;
    Ok(Source::of(Cow::Borrowed(text), Charset::Utf8))
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<Source<'_>, XmlError> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let text: Result<String, _> =
        char::decode_utf16(pairs.iter().map(|pair| unit(*pair))).collect();
    match text {
        Ok(text) if rest.is_empty() => Ok(Source::of(Cow::Owned(text), Charset::Utf16)),
        _ => Err(XmlError::new("The document is not UTF-16.", 0)),
    }
}

fn latin1(bytes: &[u8]) -> Source<'_> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Cow::Borrowed(text),
        _ => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    };
    Source::of(text, Charset::Latin1)
}

fn ascii(bytes: &[u8]) -> Result<Source<'_>, XmlError> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Ok(Source::of(Cow::Borrowed(text), Charset::Ascii)),
        _ => {
            let at = bytes.iter().position(|b| !b.is_ascii()).unwrap_or(0);
            Err(XmlError::new("The document is not US-ASCII.", at))
        }
    }
}

impl<'a> Source<'a> {
    fn of(text: Cow<'a, str>, charset: Charset) -> Source<'a> {
        let charset = SourceCharset::of(charset, &text);
        Source { text, charset }
    }
}
