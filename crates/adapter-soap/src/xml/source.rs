//! Bytes become characters. Which character set they are in, the byte order mark says before the transport's charset, and
//! that before the XML declaration (RFC 7303, 3); where two of them speak, they have to agree.

use std::borrow::Cow;

use super::chars::is_char;
use super::{XmlError, markup};

/// Largest document, in bytes, as it comes and as UTF-8: sixteen times the longest message, and so little that parsing it
/// can't hold a thread up.
pub(super) const BYTES_MAX: usize = 256 * 1024;

/// Which character sets are taken.
pub(crate) const CHARSETS_TAKEN: &str = "Only UTF-8, UTF-16, ISO-8859-1 and US-ASCII are taken.";

/// What is wrong with a document that is larger than [`BYTES_MAX`].
pub(super) const TOO_LARGE: &str = "The document is too large.";

/// The names of the character sets in IANA's registry, and those that clients write beside them; in any case.
const LABELS: &[(&str, Charset)] = &[
    ("utf-8", Charset::Utf8),
    ("utf8", Charset::Utf8),
    ("csutf8", Charset::Utf8),
    ("utf-16", Charset::Utf16),
    ("csutf16", Charset::Utf16),
    ("iso-8859-1", Charset::Latin1),
    ("iso_8859-1", Charset::Latin1),
    ("iso8859-1", Charset::Latin1),
    ("iso_8859-1:1987", Charset::Latin1),
    ("iso88591", Charset::Latin1),
    ("iso-ir-100", Charset::Latin1),
    ("latin1", Charset::Latin1),
    ("latin-1", Charset::Latin1),
    ("l1", Charset::Latin1),
    ("ibm819", Charset::Latin1),
    ("cp819", Charset::Latin1),
    ("csisolatin1", Charset::Latin1),
    ("us-ascii", Charset::Ascii),
    ("ascii", Charset::Ascii),
    ("us", Charset::Ascii),
    ("ansi_x3.4-1968", Charset::Ascii),
    ("ansi_x3.4-1986", Charset::Ascii),
    ("iso_646.irv:1991", Charset::Ascii),
    ("iso646-us", Charset::Ascii),
    ("iso-ir-6", Charset::Ascii),
    ("ibm367", Charset::Ascii),
    ("cp367", Charset::Ascii),
    ("csascii", Charset::Ascii),
];

/// A character set whose bytes become characters without a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    /// With or without its mark.
    Utf8,
    /// With its mark, which says which byte of a pair comes first.
    Utf16,
    /// ISO-8859-1: each byte is the character of that number.
    Latin1,
    /// US-ASCII: the same, up to 0x7F.
    Ascii,
}

impl Charset {
    /// The character set of this name, if it is one that is taken.
    pub(crate) fn named(label: &str) -> Option<Charset> {
        let mut labels = LABELS.iter();
        let found = labels.find(|(name, _)| name.eq_ignore_ascii_case(label));
        found.map(|(_, charset)| *charset)
    }
}

/// A document as characters.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    /// The characters, without a byte order mark.
    pub(crate) text: Cow<'a, str>,
    /// What they were written in.
    pub(super) written: Written,
}

/// The character set that a document was read by, and how far it went in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    charset: Charset,
    is_ascii: bool,
}

impl Written {
    /// Whether the document may be called so: by its own character set, or by one that has all characters in it with the
    /// same bytes.
    pub(super) fn answers_to(self, name: Charset) -> bool {
        match (self.charset, name) {
            (Charset::Utf8 | Charset::Latin1, Charset::Ascii) => self.is_ascii,
            (Charset::Ascii, Charset::Utf8 | Charset::Latin1) => true,
            (own, name) => own == name,
        }
    }
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

    /// Whether the transport may call the document so.
    pub(crate) fn answers_to(&self, charset: Charset) -> bool {
        self.written.answers_to(charset)
    }
}

/// The character set that the declaration names, if it can be read before anything is known of the bytes. What is wrong
/// with the declaration is told once it has been read as a part of the document.
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
        let is_ascii = text.is_ascii();
        let written = Written { charset, is_ascii };
        Source { text, written }
    }
}
