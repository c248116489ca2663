//! Files outside the data folder that hold a secret, a certificate or a configuration. Errors name the command that mends them.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The right of everybody to read.
const EVERYBODY_READS: u32 = 0o004;

/// The right of everybody to write.
const EVERYBODY_WRITES: u32 = 0o002;

/// Rejects a file that everybody may write: its content can be anybody's. Who may read it is up to its owner: an orchestrator
/// mounts secrets as links to files of root that every user of the container may read.
///
/// # Errors
/// A line that names the file and the mend. A missing file is accepted here and fails when it is read.
pub fn check_trusted(path: &Path) -> Result<(), String> {
    let is_open = std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.mode() & EVERYBODY_WRITES != 0);
    if is_open {
        let (shown, named) = (path.display(), shell_quoted(path));
        return Err(format!("everybody may write {shown}: chmod o-w {named}"));
    }
    Ok(())
}

/// Reads the text of a file that [`check_trusted`] accepts.
///
/// # Errors
/// A line that names the file.
pub fn read_trusted(path: &Path) -> Result<String, String> {
    check_trusted(path)?;
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// The user that this process runs as.
#[must_use]
pub fn effective_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether every user of the machine may read a file of this user.
#[must_use]
pub fn is_exposed(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| {
        let is_ours = metadata.uid() == effective_user();
        metadata.is_file() && is_ours && metadata.mode() & EVERYBODY_READS != 0
    })
}

/// The path as a word of a shell command.
#[must_use]
pub fn shell_quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
    if plain {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn what_is_mounted_may_be_a_link_that_others_may_read_and_never_write() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("..data"), folder.path().join("password"));
        std::fs::write(&path, "p").unwrap();
        symlink(&path, &link).unwrap();
        for mode in [0o644, 0o440, 0o444, 0o664] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            check_trusted(&link).unwrap();
        }
        for mode in [0o666, 0o602] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = check_trusted(&link).unwrap_err();
            for part in ["everybody may write", "chmod o-w"] {
                assert!(error.contains(part), "{part}: {error}");
            }
        }
        check_trusted(&folder.path().join("missing")).unwrap();
    }
}
