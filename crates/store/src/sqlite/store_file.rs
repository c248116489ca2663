//! Checks whether the store's file and its write-ahead log are still the files at their paths. If one was removed or replaced, or
//! their folder was moved, the process can still write it, but its data is lost when the process ends: a message would be sent again.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::files::log_of;
use crate::Journal;

/// The device and the inode of a file.
type FileId = (u64, u64);

/// The path and the identity of the store's file, and the identity of its write-ahead log.
#[derive(Clone)]
pub(super) struct StoreFile {
    file: PathBuf,
    opened: FileId,
    /// The log since it was first found. SQLite keeps the same log while a connection is open.
    log: Arc<Mutex<Option<FileId>>>,
}

impl StoreFile {
    /// Records the place of a file that was just opened.
    pub(super) fn of(file: &Path) -> std::io::Result<StoreFile> {
        Ok(StoreFile {
            file: file.to_owned(),
            opened: identity(file)?,
            log: Arc::default(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.file
    }

    /// Records the log that an open connection uses.
    pub(super) fn note_log(&self) {
        *self.log.lock() = identity(&log_of(&self.file)).ok();
    }

    /// Accepts another log, because SQLite removes the log when it closes the last connection.
    pub(super) fn forget_log(&self) {
        *self.log.lock() = None;
    }

    /// Checks whether both files are still at their paths, and reports the result to the journal. A change of the result is logged.
    pub(super) async fn check(&self, journal: &Journal) {
        let place = self.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let is_missing = is_missing(&place.file, place.opened);
            (is_missing, place.is_log_missing())
        });
        let (is_missing, is_log_missing) = looked.await.unwrap_or_default();
        if !journal.note_file(is_missing || is_log_missing) {
            return;
        }
        let file = self.file.display().to_string();
        if is_missing {
            tracing::error!(
                file,
                "the store's file was removed, replaced or moved while the gateway was running, so sends are refused: put the \
                 same file back, or stop the gateway, put a backup there, and start it again"
            );
        } else if is_log_missing {
            tracing::error!(
                file = %log_of(&self.file).display(),
                "the store's write-ahead log was removed, replaced or moved while the gateway was running, so sends are refused: put \
                 the same file back, or stop the gateway by SIGTERM, which saves the log's data, and start it again"
            );
        } else {
            tracing::warn!(file, "the store's file is back at its path");
        }
    }

    /// Returns whether the log that was found before is missing. Records the log if none was found before.
    fn is_log_missing(&self) -> bool {
        let log = *self.log.lock();
        if log.is_none() {
            self.note_log();
        }
        log.is_some_and(|log| is_missing(&log_of(&self.file), log))
    }
}

/// Returns whether another file or no file is at the path. If the path can't be examined, the file counts as present.
fn is_missing(file: &Path, known: FileId) -> bool {
    match identity(file) {
        Ok(found) => found != known,
        Err(error) => matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
    }
}

fn identity(file: &Path) -> std::io::Result<FileId> {
    let found = std::fs::metadata(file)?;
    Ok((found.dev(), found.ino()))
}
