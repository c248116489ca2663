//! The loop over quick-xml's events, and the check of a whole document.

use quick_xml::Reader;
use quick_xml::events::Event;

use super::builder::Builder;
use super::charset::{CHARSETS_TAKEN, Charset};
use super::error::XmlError;
use super::source::Source;
use super::tree::Document;

/// Checks that a document is well formed including its namespaces, has no DOCTYPE and stays within the limits.
///
/// # Errors
/// The first violation.
pub fn check_document(bytes: &[u8]) -> Result<(), XmlError> {
    check_document_in(bytes, None)
}

/// Does the same checks for a document with a named character set, as in the parameter `charset` of Content-Type.
///
/// # Errors
/// The first violation.
pub fn check_document_in(bytes: &[u8], charset: Option<&str>) -> Result<(), XmlError> {
    let named = |label| Charset::named(label).ok_or_else(|| XmlError::new(CHARSETS_TAKEN, 0));
    let charset = charset.map(named).transpose()?;
    let source = Source::read(bytes, charset)?;
    if charset.is_some_and(|charset| !source.answers_to(charset)) {
        return Err(XmlError::new(
            "The document is not in the declared charset.",
            0,
        ));
    }
    parse(&source).map(drop)
}

/// Reads a document.
pub(crate) fn parse<'a>(source: &'a Source<'_>) -> Result<Document<'a>, XmlError> {
    let text: &'a str = &source.text;
    // quick-xml would silently drop a second byte order mark.
    if text.starts_with('\u{feff}') {
        return Err(XmlError::new(
            "There is text outside of the root element.",
            0,
        ));
    }
    let mut reader = Reader::from_str(text);
    // The builder matches end tags itself and gives a clearer reason.
    reader.config_mut().check_end_names = false;
    reader.config_mut().allow_unmatched_ends = true;
    let mut builder = Builder::new(source.charset);
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
