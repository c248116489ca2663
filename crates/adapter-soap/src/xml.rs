//! A thin layer over quick-xml's events. It builds a small tree from a document, or returns an error with the reason.
//!
//! quick-xml splits a document into events and leaves many checks of well-formedness to its user. Each event is therefore checked
//! against the bytes of its own source text, by the productions of the standard.

mod builder;
mod chars;
mod charset;
mod error;
mod markup;
mod parse;
mod scope;
mod source;
mod tree;

pub(crate) use chars::{is_blank, is_char, is_ncname};
pub(crate) use charset::{CHARSETS_TAKEN, Charset};
pub use error::XmlError;
pub(crate) use parse::parse;
pub use parse::{check_document, check_document_in};
pub(crate) use scope::XmlName;
pub(crate) use source::Source;
pub(crate) use tree::{Document, Element};

#[cfg(test)]
mod tests;
