//! Why a document can't be read.

use std::fmt;

/// The reason for a document beyond the largest size.
pub(super) const TOO_LARGE: &str = "The document is too large.";

/// A check that fails with a reason; the caller adds the position.
pub(super) type Checked<T> = Result<T, &'static str>;

/// The reason and the position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XmlError {
    pub(super) reason: &'static str,
    at: usize,
}

impl XmlError {
    pub(super) fn new(reason: &'static str, at: usize) -> Self {
        XmlError { reason, at }
    }

    /// Whether the document is larger than any that is read.
    pub(crate) fn is_too_large(&self) -> bool {
        self.reason == TOO_LARGE
    }
}

impl fmt::Display for XmlError {
    /// One line that holds nothing of the document: a password may stand in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (At or after byte {}.)", self.reason, self.at)
    }
}

impl std::error::Error for XmlError {}
