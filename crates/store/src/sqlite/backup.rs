//! Makes a consistent copy of the store while it is in use.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use tokio::task::spawn_blocking;

use super::connection::open_for_reading;
use super::files::{copy_of, remove_copy};
use super::store::SqliteStore;
use crate::StoreError;

impl SqliteStore {
    pub(crate) async fn backup(&self) -> Result<File, StoreError> {
        let (copying, store) = (self.copying().await, self.file().to_owned());
        let copy = move || {
            let _copying = copying;
            remove_copy(&store)?;
            let path = copy_of(&store);
            let copied = copy(&store, &path).map_err(|error| error.in_file(&path));
            remove_copy(&store)?;
            copied
        };
        spawn_blocking(copy).await?
    }
}

/// Copies the store into a new file.
fn copy(store: &Path, copy: &Path) -> Result<File, StoreError> {
    let name = copy
        .to_str()
        .ok_or(StoreError::new("the data folder's path is not UTF-8"))?;
    // SQLite fills an empty file and keeps its mode; the mode of a file that SQLite creates would depend on the umask.
    let mut private = OpenOptions::new();
    private.write(true).create_new(true).mode(0o600);
    private.open(copy)?;
    // The copy uses a separate connection, which reads one snapshot of the WAL while the writer continues.
    open_for_reading(store)?.execute("VACUUM INTO ?", [name])?;
    Ok(File::open(copy)?)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use crate::Store;

    #[tokio::test]
    async fn a_backup_contains_committed_data_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chatgate.db");
        let store = Store::open(&file).await.unwrap();
        let id = store.add_key("tokens/A", &[7; 9], 3).await.unwrap();
        let left = ["chatgate.db.copy", "chatgate.db.copy-journal"];
        let left = left.map(|name| folder.path().join(name));
        for left in &left {
            std::fs::write(left, "left over").unwrap();
        }
        let mut bytes = Vec::new();
        let mut copy = store.backup().await.unwrap();
        copy.read_to_end(&mut bytes).unwrap();
        assert!(left.iter().all(|left| !left.exists()));

        let restored = folder.path().join("restored.db");
        std::fs::write(&restored, bytes).unwrap();
        let restored = Store::open(&restored).await.unwrap();
        let keys = restored.keys("tokens/").await.unwrap();
        assert_eq!((keys.len(), keys[0].id, keys[0].created_at), (1, id, 3));
    }
}
