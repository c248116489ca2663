//! The paths of the files next to the store's file.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

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

/// Removes the incomplete copy that a killed process left behind.
pub(crate) fn remove_copy(store: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(copy_of(store)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
