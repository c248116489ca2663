//! The error type of the store.

use std::borrow::Cow;
use std::path::Path;

/// A failure of the store, as one sentence.
#[derive(Debug)]
pub struct StoreError {
    text: Cow<'static, str>,
    is_row_fault: bool,
}

impl StoreError {
    /// Makes an error for a failure outside SQL.
    pub fn new(text: impl Into<Cow<'static, str>>) -> StoreError {
        StoreError {
            text: text.into(),
            is_row_fault: false,
        }
    }

    /// Makes an error for a row that the database refuses.
    pub(crate) fn of_row(text: impl Into<Cow<'static, str>>) -> StoreError {
        StoreError {
            is_row_fault: true,
            ..StoreError::new(text)
        }
    }

    /// Names the file that the failure is about.
    pub(crate) fn in_file(self, file: &Path) -> StoreError {
        let text = format!("{}: {}", file.display(), self.text);
        StoreError {
            text: text.into(),
            ..self
        }
    }

    /// Returns whether a value of a row is the cause, so that the same operation may succeed without this row.
    #[must_use]
    pub fn is_row_fault(&self) -> bool {
        self.is_row_fault
    }
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "store: {}", self.text)
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
