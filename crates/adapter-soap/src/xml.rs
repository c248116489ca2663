//! A thin layer over quick-xml's events that makes a small tree of a document, or says why it is none.
//!
//! quick-xml splits a document into events and leaves much of well-formedness to its user. So each event is checked
//! against the very bytes it was cut from: what quick-xml might pass over, the productions here do not.

mod builder;
mod chars;
mod markup;
mod scope;
mod source;

use std::fmt;

use quick_xml::Reader;
use quick_xml::events::Event;

pub(crate) use chars::{is_blank, is_char, is_ncname};
pub(crate) use scope::Name;
pub(crate) use source::{CHARSETS_TAKEN, Charset, Source};

use builder::Builder;

/// A check that fails with a reason; where it failed is added by whoever knows.
type Checked<T> = Result<T, &'static str>;

/// Why a document can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XmlError {
    reason: &'static str,
    at: usize,
}

impl XmlError {
    fn new(reason: &'static str, at: usize) -> Self {
        XmlError { reason, at }
    }

    /// Whether the document is larger than any that is read.
    pub(crate) fn is_too_large(&self) -> bool {
        self.reason == source::TOO_LARGE
    }
}

impl fmt::Display for XmlError {
    /// One line that holds nothing of the document: a password may stand in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (At or after byte {}.)", self.reason, self.at)
    }
}

impl std::error::Error for XmlError {}

/// Checks that a document is well formed, namespaces included, has no DOCTYPE and stays within the caps.
///
/// # Errors
/// The first reason why it is not.
pub fn check_document(bytes: &[u8]) -> Result<(), XmlError> {
    check_document_in(bytes, None)
}

/// The same for a document that comes with the name of its character set, as the parameter `charset` of Content-Type.
///
/// # Errors
/// The first reason why it is not.
pub fn check_document_in(bytes: &[u8], charset: Option<&str>) -> Result<(), XmlError> {
    let named = |label| Charset::named(label).ok_or_else(|| XmlError::new(CHARSETS_TAKEN, 0));
    let charset = charset.map(named).transpose()?;
    let source = Source::read(bytes, charset)?;
    if charset.is_some_and(|charset| !source.answers_to(charset)) {
        return Err(XmlError::new(
            "The document is not in the charset named.",
            0,
        ));
    }
    Document::parse(&source).map(drop)
}

/// A document that has been read to its end.
#[derive(Debug)]
pub(crate) struct Document<'a> {
    /// The one root.
    pub(crate) root: Element<'a>,
    /// Whether a processing instruction stands anywhere in it.
    pub(crate) has_instruction: bool,
}

/// One element.
#[derive(Debug)]
pub(crate) struct Element<'a> {
    /// Its name.
    pub(crate) name: Name<'a>,
    /// Its attributes without the declarations of namespaces.
    pub(crate) attributes: Vec<(Name<'a>, String)>,
    /// All text right inside it, put together, never trimmed.
    pub(crate) text: String,
    /// The elements right inside it.
    pub(crate) children: Vec<Element<'a>>,
}

impl Element<'_> {
    /// The value of an attribute; the namespace is empty for one without a prefix.
    pub(crate) fn attribute(&self, namespace: &str, local: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(name, _)| name.is(namespace, local))
            .map(|(_, value)| value.as_str())
    }

    /// Whether it or anything inside it has this name.
    pub(crate) fn contains(&self, namespace: &str, local: &str) -> bool {
        let mut inside = self.children.iter();
        self.name.is(namespace, local) || inside.any(|child| child.contains(namespace, local))
    }
}

impl<'a> Document<'a> {
    /// Reads a document.
    pub(crate) fn parse(source: &'a Source<'_>) -> Result<Self, XmlError> {
        let text: &'a str = &source.text;
        // quick-xml would drop a second mark without a word.
        if text.starts_with('\u{feff}') {
            return Err(XmlError::new("Text stands outside of the root.", 0));
        }
        let mut reader = Reader::from_str(text);
        // The builder matches end tags itself, with a clearer reason.
        reader.config_mut().check_end_names = false;
        reader.config_mut().allow_unmatched_ends = true;
        let mut builder = Builder::new(source.written);
        let mut at = 0;
        loop {
            let event = reader
                .read_event()
                .map_err(|_| XmlError::new("The markup is broken.", at))?;
            let end = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
            let raw = text.get(at..end).unwrap_or_default();
            if matches!(event, Event::Eof) {
                break;
            }
            builder
                .take(&event, raw, at)
                .map_err(|reason| XmlError::new(reason, at))?;
            at = end;
        }
        if at != text.len() {
            return Err(XmlError::new("The markup is broken.", at));
        }
        builder.finish().map_err(|reason| XmlError::new(reason, at))
    }
}

#[cfg(test)]
mod tests;
