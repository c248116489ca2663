//! The character sets of documents.

/// The sentence that names them all.
pub(crate) const CHARSETS_TAKEN: &str = "Only UTF-8, UTF-16, ISO-8859-1 and US-ASCII are taken.";

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

/// The character set that a document was read by, and how far it went in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct SourceCharset {
    charset: Charset,
    is_ascii: bool,
}

impl SourceCharset {
    /// The character set of this text.
    pub(super) fn of(charset: Charset, text: &str) -> Self {
        let is_ascii = text.is_ascii();
        SourceCharset { charset, is_ascii }
    }

    /// Whether this name fits the document: the name of its own character set, or of one that has the same bytes for all
    /// characters in it.
    pub(super) fn answers_to(self, name: Charset) -> bool {
        match (self.charset, name) {
            (Charset::Utf8 | Charset::Latin1, Charset::Ascii) => self.is_ascii,
            (Charset::Ascii, Charset::Utf8 | Charset::Latin1) => true,
            (own, name) => own == name,
        }
    }
}
