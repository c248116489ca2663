//! The files beside the store's own.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// SQLite's write-ahead log.
pub(crate) fn log_of(store: &Path) -> PathBuf {
    let mut name = store.to_owned().into_os_string();
    name.push("-wal");
    name.into()
}

/// Where a copy is made: beside the store, so that it is on the same disk and under the same lock.
pub(crate) fn copy_of(store: &Path) -> PathBuf {
    store.with_extension("db.copy")
}

/// Removes what a process that was killed while it copied has left.
pub(crate) fn remove_copy(store: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(copy_of(store)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
