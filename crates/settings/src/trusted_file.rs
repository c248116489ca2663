//! Reads files outside the data folder that contain a secret, a certificate or a configuration. Errors include the command that
//! fixes them.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::read_within::{READ_TIMEOUT, read_within};

/// The permission bit that lets everybody read a file.
const EVERYBODY_READS: u32 = 0o004;

/// The permission bit that lets everybody write a file.
const EVERYBODY_WRITES: u32 = 0o002;

/// Maximum size of a file, in bytes: a configuration with about ten thousand accesses.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The reason why a file was not read.
#[derive(Debug)]
pub(crate) enum FileError {
    /// Everybody may write the file, so its content may come from anybody.
    Untrusted,
    /// The file is a pipe, and reading it could block.
    Pipe,
    /// The file is larger than [`FILE_BYTES_MAX`].
    TooLong,
    /// The file is not UTF-8.
    NotText,
    /// Reading the file did not end in time.
    Hangs,
    /// The error of the system.
    Io(io::Error),
}

impl From<io::Error> for FileError {
    fn from(error: io::Error) -> FileError {
        match error.kind() {
            io::ErrorKind::TimedOut => FileError::Hangs,
            _ => FileError::Io(error),
        }
    }
}

impl FileError {
    /// Returns a line that names the file, and the remedy if there is one.
    pub(crate) fn text(&self, path: &Path) -> String {
        let (shown, named) = (path.display(), shell_quoted(path));
        match self {
            FileError::Untrusted => format!("every user may write {shown}: chmod o-w {named}"),
            FileError::Pipe => format!("{shown}: it is a pipe; put a file in its place"),
            FileError::TooLong => format!("{shown}: it is longer than {FILE_BYTES_MAX} bytes"),
            FileError::NotText => format!("{shown}: it is not UTF-8"),
            FileError::Hangs => {
                let seconds = READ_TIMEOUT.as_secs();
                format!(
                    "{shown}: it could not be read within {seconds} s; check the mount or the device that it is on"
                )
            }
            FileError::Io(error) => format!("{shown}: {error}"),
        }
    }
}

/// Reads a file, unless everybody may write it. Its owner decides who may read it, because orchestrators mount secrets as links to
/// root's files that every user of the container may read.
///
/// # Errors
/// A line with the file and the remedy. A file that blocks is an error after a few seconds.
pub fn read_trusted_bytes(path: &Path) -> Result<Vec<u8>, String> {
    trusted_within(path).map_err(|error| error.text(path))
}

/// Reads the text of a file, unless everybody may write it.
///
/// # Errors
/// The errors of [`read_trusted_bytes`], and text that is not UTF-8.
pub fn read_trusted(path: &Path) -> Result<String, String> {
    trusted_text(path).map_err(|error| error.text(path))
}

pub(crate) fn trusted_text(path: &Path) -> Result<String, FileError> {
    text(trusted_within(path)?)
}

fn trusted_within(path: &Path) -> Result<Vec<u8>, FileError> {
    read_within(READ_TIMEOUT, path, trusted)?
}

/// Reads the text of a file, even if everybody may write it, to find out whether it has changed. Also returns whether
/// [`read_trusted`] would accept the file.
///
/// # Errors
/// A line with the file. A file that blocks is an error after a few seconds.
pub fn read_to_compare(path: &Path) -> Result<(String, bool), String> {
    let read = read_within(READ_TIMEOUT, path, |path| {
        let file = open(path)?;
        let is_trusted = is_trusted(&file)?;
        Ok((text(contents(file)?)?, is_trusted))
    });
    let read = read.map_err(FileError::from).flatten();
    read.map_err(|error| error.text(path))
}

fn text(bytes: Vec<u8>) -> Result<String, FileError> {
    String::from_utf8(bytes).map_err(|_| FileError::NotText)
}

fn trusted(path: &Path) -> Result<Vec<u8>, FileError> {
    let file = open(path)?;
    if !is_trusted(&file)? {
        return Err(FileError::Untrusted);
    }
    contents(file)
}

fn is_trusted(file: &File) -> io::Result<bool> {
    let metadata = file.metadata()?;
    Ok(!metadata.is_file() || metadata.mode() & EVERYBODY_WRITES == 0)
}

/// Opens a file without waiting for the writer of a pipe. Files below `/dev`, such as `/dev/stdin` or `/dev/fd/63`, may be pipes
/// that a shell provides, so they may block.
fn open(path: &Path) -> Result<File, FileError> {
    if path.starts_with("/dev") {
        return Ok(File::open(path)?);
    }
    let no_wait = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = File::options()
        .read(true)
        .custom_flags(no_wait)
        .open(path)?;
    if file.metadata()?.file_type().is_fifo() {
        return Err(FileError::Pipe);
    }
    Ok(file)
}

fn contents(file: File) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(FileError::TooLong);
    }
    Ok(bytes)
}

/// Returns the user of this process.
#[must_use]
pub fn effective_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Returns whether the file belongs to the user of this process and every user of the machine may read it.
#[must_use]
pub fn is_exposed(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| {
        let is_ours = metadata.uid() == effective_user();
        metadata.is_file() && is_ours && metadata.mode() & EVERYBODY_READS != 0
    })
}

/// Returns the path as a word for a shell command.
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
    fn a_trusted_file_may_be_a_link_but_not_writable_by_every_user() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("..data"), folder.path().join("password"));
        std::fs::write(&path, "p").unwrap();
        symlink(&path, &link).unwrap();
        for mode in [0o644, 0o440, 0o444, 0o664] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_trusted(&link).unwrap(), "p");
        }
        for mode in [0o666, 0o602] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = read_trusted(&link).unwrap_err();
            for part in ["every user may write", "chmod o-w"] {
                assert!(error.contains(part), "{part}: {error}");
            }
        }
    }

    #[test]
    fn pipes_and_endless_files_are_rejected() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for (path, expected) in [
            (pipe.as_path(), "it is a pipe"),
            (Path::new("/dev/zero"), "longer than"),
        ] {
            let error = read_trusted(path).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
