//! The supported character sets of documents.

/// The error text that lists all of them.
pub(crate) const CHARSETS_TAKEN: &str =
    "Only UTF-8, UTF-16, ISO-8859-1 and US-ASCII are supported.";

/// The names of the character sets in IANA's registry, and other names that clients use; the case does not matter.
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

/// A character set that can be decoded without a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    /// UTF-8, with or without a byte order mark.
    Utf8,
    /// UTF-16 with a byte order mark, which determines the byte order.
    Utf16,
    /// ISO-8859-1: each byte is the character with that number.
    Latin1,
    /// US-ASCII: the same, up to 0x7F.
    Ascii,
}

impl Charset {
    /// Returns the supported character set with this name, if there is one.
    pub(crate) fn named(label: &str) -> Option<Charset> {
        let mut labels = LABELS.iter();
        let found = labels.find(|(name, _)| name.eq_ignore_ascii_case(label));
        found.map(|(_, charset)| *charset)
    }
}

/// The character set in which a document was read, and whether the document is only ASCII.
#[derive(Clone, Copy, Debug)]
pub(super) struct SourceCharset {
    charset: Charset,
    is_ascii: bool,
}

impl SourceCharset {
    /// Creates the value for this text.
    pub(super) fn of(charset: Charset, text: &str) -> Self {
        let is_ascii = text.is_ascii();
        SourceCharset { charset, is_ascii }
    }

    /// Returns whether this character set fits the document: it is the document's own, or has the same bytes for all characters in
    /// the document.
    pub(super) fn answers_to(self, name: Charset) -> bool {
        match (self.charset, name) {
            (Charset::Utf8 | Charset::Latin1, Charset::Ascii) => self.is_ascii,
            (Charset::Ascii, Charset::Utf8 | Charset::Latin1) => true,
            (own, name) => own == name,
        }
    }
}
