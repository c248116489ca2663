//! A consistent copy of the store while it is in use.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::{Store, StoreError};

impl Store {
    /// A copy of all that is in the store now, as one SQLite file that has no name any more: it is private, and gone as
    /// soon as it is closed, however the process ends. Needs as much room on the disk as the store. One copy is made at a
    /// time; who comes meanwhile waits.
    ///
    /// # Errors
    /// When the copy can't be made, for want of room as a rule.
    pub async fn backup(&self) -> Result<File, StoreError> {
        let _copying = self.copying().lock().await;
        let copy = copy_of(self.file());
        clear(self.file())?;
        // SQLite fills an empty file and leaves its mode as it is; one of its own making would follow the umask.
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&copy);
        made?;
        let copied = self.copy_into(&copy).await;
        let opened = File::open(&copy);
        clear(self.file())?;
        copied?;
        Ok(opened?)
    }

    async fn copy_into(&self, copy: &Path) -> Result<(), StoreError> {
        let name = copy
            .to_str()
            .ok_or(StoreError::new("the data folder's name is not UTF-8"))?;
        // A connection of its own: it reads one snapshot of the WAL while the writer goes on.
        let mut reader = SqliteConnectOptions::new()
            .filename(self.file())
            .disable_statement_logging()
            .connect()
            .await?;
        let copied = sqlx::query("VACUUM INTO ?")
            .bind(name)
            .execute(&mut reader)
            .await;
        reader.close().await?;
        copied?;
        Ok(())
    }
}

/// Removes what a process that was killed while it copied has left.
pub(crate) fn clear(store: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(copy_of(store)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Where the copy is made: beside the store, so that it is on the same disk and under the same lock.
fn copy_of(store: &Path) -> PathBuf {
    store.with_extension("db.copy")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[tokio::test]
    async fn a_copy_holds_what_was_written_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chatgate.db");
        let store = Store::open(&file).await.unwrap();
        let id = store.add_key("tokens/A", &[7; 9], 3).await.unwrap();
        std::fs::write(folder.path().join("chatgate.db.copy"), "left over").unwrap();
        let mut bytes = Vec::new();
        let mut copy = store.backup().await.unwrap();
        copy.read_to_end(&mut bytes).unwrap();
        assert!(!folder.path().join("chatgate.db.copy").exists());

        let restored = folder.path().join("restored.db");
        std::fs::write(&restored, bytes).unwrap();
        let restored = Store::open(&restored).await.unwrap();
        let keys = restored.keys("tokens/").await.unwrap();
        assert_eq!((keys.len(), keys[0].id, keys[0].created_at), (1, id, 3));
    }
}
