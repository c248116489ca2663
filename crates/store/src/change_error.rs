//! Why a change of an access was not made.

use crate::StoreError;

/// Why a change was not made.
#[derive(Debug)]
pub enum ChangeError {
    /// There is no access with this name.
    Missing,
    /// There is one already.
    Exists,
    /// It has been changed since the caller looked at it.
    Stale,
    /// Its user name or client id belongs to another access.
    Taken,
    /// What was asked for can't be, in one sentence.
    Refused(String),
    /// The store can't be read or written now.
    Store(StoreError),
}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> ChangeError {
        ChangeError::Store(error)
    }
}

impl std::fmt::Display for ChangeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ChangeError::Missing => "There is no such access.",
            ChangeError::Exists => "There is an access with this name already.",
            ChangeError::Stale => "The access has been changed since.",
            ChangeError::Taken => "The user name or the client id belongs to another access.",
            ChangeError::Refused(text) => text,
            ChangeError::Store(_) => "The store fails now; the log says why.",
        })
    }
}

impl std::error::Error for ChangeError {}
