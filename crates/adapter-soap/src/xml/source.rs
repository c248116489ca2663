//! Bytes become characters. The byte order mark decides the character set before the transport's charset, and that before
//! the XML declaration (RFC 7303, 3); where two of them name one, they have to agree.

use std::borrow::Cow;

use super::chars::is_char;
use super::charset::{Charset, SourceCharset};
use super::error::{TOO_LARGE, XmlError};
use super::markup;

/// Largest document, in bytes, as it comes and as UTF-8: sixteen times the longest message, and so little that parsing it
/// can't hold a thread up.
pub(super) const BYTES_MAX: usize = 256 * 1024;

/// A document as characters.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    /// The characters, without a byte order mark.
    pub(crate) text: Cow<'a, str>,
    /// Their character set in the document.
    pub(super) charset: SourceCharset,
}

impl Source<'_> {
    /// Reads a document; `charset` is what the transport says of it.
    ///
    /// # Errors
    /// It is larger than [`BYTES_MAX`], not in its character set, or holds characters that XML forbids.
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
                    return Err(XmlError::new("UTF-16 begins with a byte order mark.", 0));
                }
                Some(Charset::Utf8) | None => utf8(bytes)?,
            },
        };
        // A character takes up to twice its bytes in UTF-8.
        if source.text.len() > BYTES_MAX {
            return Err(XmlError::new(TOO_LARGE, BYTES_MAX));
        }
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

    /// Whether the transport may give the document this name.
    pub(crate) fn answers_to(&self, charset: Charset) -> bool {
        self.charset.answers_to(charset)
    }
}

/// The character set that the declaration names, if it can be read before anything is known of the bytes. What is wrong
/// with the declaration is reported once it has been read as a part of the document.
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
