//! Whether the store's file is still the one at its path. A file that was removed or replaced, or whose folder was moved, can
//! be written as before, and all of it is gone with the process: a send would be sent again.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::Journal;

/// A file, by its path and by itself.
#[derive(Clone)]
pub(super) struct StorePlace {
    file: PathBuf,
    /// Device and inode.
    opened: (u64, u64),
}

impl StorePlace {
    /// The place of a file that was opened just now.
    pub(super) fn of(file: &Path) -> std::io::Result<StorePlace> {
        Ok(StorePlace {
            file: file.to_owned(),
            opened: identity(file)?,
        })
    }

    /// Looks whether the file is still there, and has the journal know. The log says so when that changes.
    pub(super) async fn look(&self, journal: &Journal) {
        let place = self.clone();
        let looked = tokio::task::spawn_blocking(move || place.is_left()).await;
        let is_gone = looked.unwrap_or(false);
        if !journal.note_place(is_gone) {
            return;
        }
        let file = self.file.display().to_string();
        if is_gone {
            tracing::error!(
                file,
                "the store's file was removed, replaced or moved while the gateway runs, and nothing is sent: put the same \
                 file back, or stop the gateway, put a backup there, and start again"
            );
        } else {
            tracing::warn!(file, "the store's file is back at its place");
        }
    }

    /// Whether another file or none is there. One that can't be looked at may be there.
    fn is_left(&self) -> bool {
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
