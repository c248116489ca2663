//! A thin layer over quick-xml's events that makes a small tree of a document, or says why it is none.
//!
//! quick-xml splits a document into events and leaves much of well-formedness to its user. So each event is checked
//! against the very bytes it was cut from: what quick-xml might pass over, the productions here do not.

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
