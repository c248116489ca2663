//! The reasons why a change of an access was not made.

use crate::StoreError;

/// The reason why a change was not made.
#[derive(Debug)]
pub enum ChangeError {
    /// There is no access with this name.
    Missing,
    /// An access with this name exists already.
    Exists,
    /// The access has changed since the caller read it.
    Stale,
    /// The user name or client id belongs to another access.
    Taken,
    /// The requested change is not possible; one sentence gives the reason.
    Refused(String),
    /// The store can't currently be read or written.
    Store(StoreError),
}

impl ChangeError {
    /// Makes the refusal to overwrite an access that this version of the program can't read.
    pub(crate) fn unreadable(name: &str) -> ChangeError {
        ChangeError::Refused(format!(
            "This version of the program can't read the access {name}. Change it with the version that has written it."
        ))
    }
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
            ChangeError::Exists => "There is already an access with this name.",
            ChangeError::Stale => "The access has changed since it was read.",
            ChangeError::Taken => "The user name or the client id belongs to another access.",
            ChangeError::Refused(text) => text,
            ChangeError::Store(_) => "The store is failing; the log has the cause.",
        })
    }
}

impl std::error::Error for ChangeError {}
