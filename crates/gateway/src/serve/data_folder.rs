//! The data folder. It is created at the first start, is private to its owner, and contains the first operator's key.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use store::{StoreError, random_bytes};

use crate::config::STORE_FILE;
use crate::serve::file_rights;

/// Number of random bytes in an admin key.
const ADMIN_KEY_BYTES: usize = 32;

/// Length of the keys that hash secrets, in bytes.
const HASH_KEY_BYTES: usize = 32;

/// The files of a data folder, including the files that SQLite creates next to a store.
const OWN_FILES: [&str; 15] = [
    "lock",
    "admin.key",
    "admin.key.new",
    "demo.json",
    "demo.json.new",
    "chatgate.db",
    "chatgate.db-wal",
    "chatgate.db-shm",
    "chatgate.db-journal",
    "sandbox.json",
    "sandbox.json.new",
    "sandbox.db",
    "sandbox.db-wal",
    "sandbox.db-shm",
    "sandbox.db-journal",
];

/// A data folder, which knows the paths of its files.
#[derive(Clone, Debug)]
pub struct DataFolder(PathBuf);

impl DataFolder {
    /// Names a folder without accessing it.
    #[must_use]
    pub fn new(path: &Path) -> DataFolder {
        DataFolder(path.to_owned())
    }

    /// Creates the folder with mode 0700 if it does not exist, and checks that the folder and its files belong to this user alone.
    /// A user who can write to the folder controls the gateway, and a user who can read it knows the gateway's keys.
    ///
    /// # Errors
    /// A line that names the folder or the file, and the remedy.
    pub fn make(&self) -> Result<(), String> {
        // If the metadata can't be read, the creation below fails as well and states the reason.
        if self.0.metadata().is_ok_and(|found| !found.is_dir()) {
            return Err(format!(
                "{} is not a folder; name another one with --data",
                self.0.display()
            ));
        }
        let made = std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0);
        made.map_err(|error| {
            format!(
                "the data folder {} can't be made: {error}",
                self.0.display()
            )
        })?;
        file_rights::close_if_empty(&self.0)?;
        file_rights::check_folder(&self.0)?;
        let mut files = OWN_FILES.iter();
        files.try_for_each(|name| file_rights::check_own(&self.0.join(name)))
    }

    /// Locks the folder for this process until the returned files are closed. The system closes them however the process ends. Both
    /// the lock file and the folder itself are locked, because somebody may mistake the file for a leftover and remove it.
    ///
    /// # Errors
    /// A line that names the folder, when another gateway or sandbox uses it.
    pub fn lock(&self) -> Result<[File; 2], String> {
        let file = self.lock_file()?;
        let folder =
            File::open(&self.0).map_err(|error| format!("{}: {error}", self.0.display()))?;
        match folder.try_lock() {
            Err(TryLockError::WouldBlock) => Err(self.in_use()),
            // Some network shares support locks on files only.
            Ok(()) | Err(TryLockError::Error(_)) => Ok([file, folder]),
        }
    }

    fn in_use(&self) -> String {
        format!(
            "another gateway or sandbox runs on the data folder {}; stop it, or name another folder with --data",
            self.0.display()
        )
    }

    fn lock_file(&self) -> Result<File, String> {
        let path = self.0.join("lock");
        let mut options = std::fs::OpenOptions::new();
        let opened = options.create(true).append(true).mode(0o600).open(&path);
        let file = opened.map_err(|error| format!("{}: {error}", path.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(self.in_use()),
            Err(TryLockError::Error(error)) => Err(format!(
                "{} can't be locked: {error}; the data folder has to be on a file system that supports locks",
                path.display()
            )),
        }
    }

    /// Returns the path of the store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.0.join(STORE_FILE)
    }

    /// Returns the path of the embedded sandbox's database.
    #[must_use]
    pub fn sandbox(&self) -> PathBuf {
        self.0.join("sandbox.db")
    }

    /// Returns the path of the file with the demo access's credentials.
    #[must_use]
    pub fn demo(&self) -> PathBuf {
        self.0.join("demo.json")
    }

    /// Returns the path of the file with the generated account of a sandbox that runs alone.
    #[must_use]
    pub fn sandbox_account(&self) -> PathBuf {
        self.0.join("sandbox.json")
    }

    /// Returns the path of the file with the first operator's key.
    #[must_use]
    pub fn admin_key(&self) -> PathBuf {
        self.0.join("admin.key")
    }

    /// Reads the first operator's key, if its file exists.
    ///
    /// # Errors
    /// A line that names the file.
    pub fn read_admin_key(&self) -> Result<Option<SecretString>, String> {
        read_key_if_there(&self.admin_key())
    }

    /// Generates a new key for the first operator and writes it to its file, replacing the previous key. The key is valid once it
    /// is in the store.
    ///
    /// # Errors
    /// A line that names the file.
    pub fn make_admin_key(&self) -> Result<SecretString, String> {
        remove(&self.admin_key())?;
        let key: SecretString = format!("cgk_{}", random_text(ADMIN_KEY_BYTES)?).into();
        write_private(&self.admin_key(), &format!("{}\n", key.expose_secret()))?;
        Ok(key)
    }
}

/// Reads a key file.
///
/// # Errors
/// A line that names the file.
pub fn read_key(path: &Path) -> Result<SecretString, String> {
    let key = read_key_if_there(path)?;
    key.ok_or_else(|| format!("{}: there is no such file", path.display()))
}

fn read_key_if_there(path: &Path) -> Result<Option<SecretString>, String> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|error| format!("{}: {error}", path.display()))?,
    };
    match text.trim() {
        "" => Err(format!("{}: the key is empty", path.display())),
        key => Ok(Some(key.into())),
    }
}

/// Removes a file, if it exists.
///
/// # Errors
/// A line that names the file.
pub fn remove(path: &Path) -> Result<(), String> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(|error| format!("{}: {error}", path.display())),
    }
}

/// Writes a file that only its owner can read. Never overwrites an existing file. The file appears as a whole or not at all,
/// because a killed process must not leave an empty key file behind. Only the process that holds the lock may call this.
///
/// # Errors
/// A line that names the file.
pub fn write_private(path: &Path, text: &str) -> Result<(), String> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let written = path.with_file_name(name);
    let write = || {
        if is_there(path)? {
            return Err(ErrorKind::AlreadyExists.into());
        }
        // Removes the incomplete file of an earlier process.
        if is_there(&written)? {
            std::fs::remove_file(&written)?;
        }
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&written)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&written, path)
    };
    write().map_err(|error| format!("{}: {error}", path.display()))
}

/// Returns whether an entry with this name exists, even a dangling link.
fn is_there(path: &Path) -> std::io::Result<bool> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns fresh random bytes as hexadecimal digits.
///
/// # Errors
/// When the system returns no random bytes.
pub fn random_text(bytes: usize) -> Result<String, String> {
    let random = random_bytes(bytes).map_err(|error| error.to_string())?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Generates a key that hashes secrets.
///
/// # Errors
/// When the system returns no random bytes.
pub(crate) fn random_key() -> Result<Vec<u8>, StoreError> {
    random_bytes(HASH_KEY_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_file_is_written_completely_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        // The incomplete file of a process that was killed while it wrote.
        std::fs::write(folder.path().join("key.new"), "ha").unwrap();
        write_private(&path, "whole").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(write_private(&path, "other").is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole");
    }
}
