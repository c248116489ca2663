//! Converts SQLite's errors to the store's errors.

use rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE;

use crate::{ChangeError, StoreError};

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        StoreError::new(error.to_string())
    }
}

impl From<rusqlite::Error> for ChangeError {
    fn from(error: rusqlite::Error) -> ChangeError {
        match error.sqlite_error().map(|error| error.extended_code) {
            Some(SQLITE_CONSTRAINT_UNIQUE) => ChangeError::Taken,
            _ => ChangeError::Store(StoreError::from(error)),
        }
    }
}
