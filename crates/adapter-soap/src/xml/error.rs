//! The errors of documents that cannot be read.

use std::fmt;

/// The reason for a document that exceeds the maximum size.
pub(super) const TOO_LARGE: &str = "The document is too large.";

/// The result of a check that fails with a reason; the caller adds the position.
pub(super) type CheckResult<T> = Result<T, &'static str>;

/// A reason and a position in the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XmlError {
    pub(super) reason: &'static str,
    at: usize,
}

impl XmlError {
    pub(super) fn new(reason: &'static str, at: usize) -> Self {
        XmlError { reason, at }
    }

    /// Returns whether the document exceeds the maximum size.
    pub(crate) fn is_too_large(&self) -> bool {
        self.reason == TOO_LARGE
    }
}

impl fmt::Display for XmlError {
    /// Writes one line that contains nothing of the document, because the document may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (At or after byte {}.)", self.reason, self.at)
    }
}

impl std::error::Error for XmlError {}
