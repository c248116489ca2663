//! `chatgate backup`: copies the store of a running gateway into a file. The file is either complete or absent.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway::data_folder::random_text;
use server::signals::StopSignal;
use tokio::fs::{File, OpenOptions};

use super::admin::Admin;
use super::output::print;
use super::progress::{TransferProgress, during};
use crate::args::BackupArgs;

/// Maximum duration of a backup, including the creation of the copy. The largest stores take minutes on a slow disk.
const BACKUP_TIMEOUT: Duration = Duration::from_secs(3600);

/// The number of random bytes in the name of an incomplete file, so that no two backups share the file.
const PARTIAL_NAME_BYTES: usize = 6;

pub(crate) async fn run(args: BackupArgs) -> Result<(), String> {
    let file = &args.file;
    if file.symlink_metadata().is_ok() {
        return Err(exists(file));
    }
    let admin = Admin::new(&args.admin, BACKUP_TIMEOUT)?;
    let partial = partial_name(file)?;
    let saved = save(&admin, file, &partial).await;
    if saved.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    saved?;
    print(format!(
        "The copy of the store is in {}; it contains keys, so protect it like the data folder.\n",
        file.display()
    ))
}

async fn save(admin: &Admin, file: &Path, partial: &Path) -> Result<(), String> {
    let at = |error: std::io::Error| format!("{}: {error}", file.display());
    // From here on a signal no longer ends the process with the incomplete file left behind.
    let mut stop_signal = StopSignal::listen()?;
    let mut options = OpenOptions::new();
    let made = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(partial);
    let mut copy: File = made.await.map_err(at)?;
    let progress = TransferProgress::default();
    let saving = async {
        tokio::select! {
            biased;
            saved = admin.post_and_save("/admin/v1/backup", (&mut copy, file), &progress) => saved,
            () = stop_signal.wait() => Err("the backup was interrupted; no copy was made".to_owned()),
        }
    };
    during("Copying the store", &progress, saving).await?;
    copy.sync_all().await.map_err(at)?;
    name(partial, file)?;
    // The file's name is durable only after its folder has been synced.
    let folder = std::fs::File::open(folder_of(file)).map_err(at)?;
    folder.sync_all().map_err(at)
}

/// Gives the complete copy its name. A hard link fails if the name exists, but a rename would replace the existing file. The rename
/// is therefore only for disks without hard links, such as FAT.
fn name(partial: &Path, file: &Path) -> Result<(), String> {
    let at = |error: std::io::Error| format!("{}: {error}", file.display());
    match std::fs::hard_link(partial, file) {
        Ok(()) => std::fs::remove_file(partial).map_err(at),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(exists(file)),
        Err(_) if file.symlink_metadata().is_ok() => Err(exists(file)),
        Err(_) => std::fs::rename(partial, file).map_err(at),
    }
}

fn exists(file: &Path) -> String {
    format!(
        "{} already exists and was not changed; name another file",
        file.display()
    )
}

/// Returns a name in the same folder as the file, so that both are on the same disk.
fn partial_name(file: &Path) -> Result<PathBuf, String> {
    let Some(name) = file.file_name() else {
        return Err(format!("{} does not name a file", file.display()));
    };
    let mut partial = OsString::from(".");
    partial.push(name);
    partial.push(format!(".{}.partial", random_text(PARTIAL_NAME_BYTES)?));
    Ok(file.with_file_name(partial))
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
