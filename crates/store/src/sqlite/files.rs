//! The paths of the files next to the store's file.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::StoreError;

/// Returns the path of SQLite's write-ahead log.
pub(crate) fn log_of(store: &Path) -> PathBuf {
    let mut name = store.to_owned().into_os_string();
    name.push("-wal");
    name.into()
}

/// Returns the path of a copy: next to the store, so that the copy is on the same disk and under the same lock.
pub(crate) fn copy_of(store: &Path) -> PathBuf {
    store.with_extension("db.copy")
}

/// Removes the incomplete copy that a killed process left behind, and SQLite's journal of this copy.
pub(crate) fn remove_copy(store: &Path) -> Result<(), StoreError> {
    for left in [copy_of(store), store.with_extension("db.copy-journal")] {
        match std::fs::remove_file(&left) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(StoreError::from(error).in_file(&left));
            }
            _ => {}
        }
    }
    Ok(())
}
