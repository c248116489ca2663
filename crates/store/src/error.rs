//! The error type of the store.

use std::borrow::Cow;
use std::path::Path;

/// A failure of the store, as one sentence.
#[derive(Debug)]
pub struct StoreError(Cow<'static, str>);

impl StoreError {
    /// Makes an error for a failure outside SQL.
    pub fn new(text: impl Into<Cow<'static, str>>) -> StoreError {
        StoreError(text.into())
    }

    /// Names the file that the failure is about.
    pub(crate) fn in_file(self, file: &Path) -> StoreError {
        StoreError::new(format!("{}: {}", file.display(), self.0))
    }
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "store: {}", self.0)
    }
}

impl std::error::Error for StoreError {}

impl From<std::io::Error> for StoreError {
    fn from(error: std::io::Error) -> StoreError {
        StoreError::new(error.to_string())
    }
}

impl From<tokio::task::JoinError> for StoreError {
    fn from(error: tokio::task::JoinError) -> StoreError {
        StoreError::new(error.to_string())
    }
}
