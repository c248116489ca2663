//! Converts SQLite's errors to the store's errors.

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE;

use crate::{ChangeError, StoreError};

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        let is_of_row = matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch)
        );
        if is_of_row {
            StoreError::of_row(error.to_string())
        } else {
            StoreError::new(format!("{error}{}", remedy(&error)))
        }
    }
}

/// Returns what an operator can do about a failure of the file or its disk.
fn remedy(error: &rusqlite::Error) -> &'static str {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "; stop the gateway and restore a backup (see deploy/README.md)"
        }
        Some(ErrorCode::SystemIoFailure) => {
            "; check the disk, and if the file is damaged, restore a backup (see deploy/README.md)"
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            "; the gateway's user has to be able to write this file and its folder"
        }
        _ => "",
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

#[cfg(test)]
mod tests {
    use crate::Store;

    #[tokio::test]
    async fn a_damaged_file_is_named_together_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chatgate.db");
        std::fs::write(&file, "no database ".repeat(1000)).unwrap();
        let error = Store::open(&file).await.err().unwrap().to_string();
        let begin = format!("store: {}: file is not a database; ", file.display());
        assert!(error.starts_with(&begin), "{error}");
        assert!(error.contains("restore a backup"), "{error}");
    }
}
