//! Checks that a data folder and its files belong to one user alone. Errors name the command that fixes the problem.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use settings::{effective_user, shell_quoted};

/// The permission bits of the group and of all other users.
const OTHERS: u32 = 0o077;

/// Closes an empty data folder of this user to other users. A folder that was made for the first start has the permissions that
/// `mkdir` gives, and an empty folder cannot contain files of another user.
///
/// # Errors
/// A line that names the folder.
pub(crate) fn close_if_empty(path: &Path) -> Result<(), String> {
    let in_folder = |error| format!("the data folder {}: {error}", path.display());
    let metadata = std::fs::metadata(path).map_err(in_folder)?;
    let is_ours = metadata.uid() == effective_user();
    let is_open = metadata.is_dir() && metadata.mode() & OTHERS != 0;
    if !is_ours || !is_open || std::fs::read_dir(path).map_err(in_folder)?.next().is_some() {
        return Ok(());
    }
    let private = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(path, private).map_err(in_folder)?;
    tracing::info!(folder = %path.display(), "removed the rights of other users from the empty data folder");
    Ok(())
}

/// Checks that a data folder belongs to this user alone. The folder may be a symbolic link, because the owner of the link could
/// also have named the other folder directly.
///
/// # Errors
/// A line that names the folder and the remedy.
pub(crate) fn check_folder(path: &Path) -> Result<(), String> {
    let in_folder = |error| format!("the data folder {}: {error}", path.display());
    let metadata = std::fs::metadata(path).map_err(in_folder)?;
    if !metadata.is_dir() {
        return Err(format!("{} is not a folder", path.display()));
    }
    let checked = check_private(path, &metadata, "700");
    checked.map_err(|error| {
        let inner = shell_quoted(&path.join("chatgate"));
        format!(
            "the data folder {error}; or, if you can't change the folder, have a private one created in it with --data {inner}"
        )
    })
}

/// Checks that a file of a data folder, if it exists, is a plain file that belongs to this user alone.
///
/// # Errors
/// A line that names the file and the remedy.
pub(crate) fn check_own(path: &Path) -> Result<(), String> {
    let metadata = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        read => read.map_err(|error| format!("{}: {error}", path.display()))?,
    };
    let (shown, named) = (path.display(), shell_quoted(path));
    if metadata.is_symlink() {
        return Err(format!(
            "{shown} is a symbolic link, which may lead the gateway to a file of somebody else: rm {named}, and put the file \
             itself there"
        ));
    }
    if !metadata.is_file() {
        return Err(format!("{shown} is not a plain file: rm -r {named}"));
    }
    check_private(path, &metadata, "600")
}

fn check_private(path: &Path, metadata: &Metadata, mode: &str) -> Result<(), String> {
    let (shown, named) = (path.display(), shell_quoted(path));
    let (owner, us) = (metadata.uid(), effective_user());
    if owner != us {
        // If root takes over the files, the service's own user can't open them any more.
        let mend = if us == 0 {
            format!("run this as that user, with setpriv --reuid {owner} --clear-groups, or ")
        } else {
            String::new()
        };
        return Err(format!(
            "{shown} belongs to the user {owner}, and the gateway runs as {us}: {mend}chown {us} {named}"
        ));
    }
    if metadata.mode() & OTHERS != 0 {
        let has = metadata.mode() & 0o7777;
        return Err(format!(
            "{shown} is open to other users (mode {has:04o}): chmod {mode} {named}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::symlink;

    use super::*;

    #[track_caller]
    fn check(checked: Result<(), String>, said: &[&str]) {
        let error = checked.unwrap_err();
        for part in said {
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn a_data_file_open_to_other_users_or_not_a_plain_file_is_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a key");
        check_own(&path).unwrap();
        std::fs::write(&path, "k").unwrap();
        for mode in [0o604, 0o602, 0o640, 0o660, 0o601] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let shown = format!("(mode 0{mode:o}): chmod 600 '");
            check(check_own(&path), &["a key is open to other users", &shown]);
        }
        for mode in [0o600, 0o400] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            check_own(&path).unwrap();
        }
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        check(check_own(&link), &["link is a symbolic link", "rm "]);
        let dangling = folder.path().join("dangling");
        symlink("nowhere", &dangling).unwrap();
        check(check_own(&dangling), &["is a symbolic link"]);
        check(check_own(folder.path()), &["is not a plain file"]);
    }

    #[test]
    fn a_data_folder_open_to_other_users_is_rejected() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o755, 0o770, 0o701, 0o1777] {
            std::fs::set_permissions(folder.path(), Permissions::from_mode(mode)).unwrap();
            check(
                check_folder(folder.path()),
                &["is open to other users", "chmod 700", "--data"],
            );
        }
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        check_folder(folder.path()).unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        check(check_folder(&file), &["is not a folder"]);
    }
}
