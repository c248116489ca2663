//! Checks whether the store's file is still the file at its path. If the file was removed or replaced, or its folder was moved, the
//! process can still write it, but all of the data is lost when the process ends: a message would be sent again.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::Journal;

/// A file's path and identity.
#[derive(Clone)]
pub(super) struct StoreFile {
    file: PathBuf,
    /// Device and inode.
    opened: (u64, u64),
}

impl StoreFile {
    /// Records the place of a file that was just opened.
    pub(super) fn of(file: &Path) -> std::io::Result<StoreFile> {
        Ok(StoreFile {
            file: file.to_owned(),
            opened: identity(file)?,
        })
    }

    /// Checks whether the file is still at its path, and reports the result to the journal. A change of the result is logged.
    pub(super) async fn check(&self, journal: &Journal) {
        let place = self.clone();
        let looked = tokio::task::spawn_blocking(move || place.is_missing()).await;
        let is_gone = looked.unwrap_or(false);
        if !journal.note_file(is_gone) {
            return;
        }
        let file = self.file.display().to_string();
        if is_gone {
            tracing::error!(
                file,
                "the store's file was removed, replaced or moved while the gateway was running, so sends are refused: put the \
                 same file back, or stop the gateway, put a backup there, and start it again"
            );
        } else {
            tracing::warn!(file, "the store's file is back at its path");
        }
    }

    /// Returns whether another file or no file is at the path. If the path can't be examined, the file counts as present.
    fn is_missing(&self) -> bool {
        match identity(&self.file) {
            Ok(found) => found != self.opened,
            Err(error) => matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory),
        }
    }
}

fn identity(file: &Path) -> std::io::Result<(u64, u64)> {
    let found = std::fs::metadata(file)?;
    Ok((found.dev(), found.ino()))
}
