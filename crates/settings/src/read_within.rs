//! Reads files with a deadline. A file on a network mount that is gone may not answer for minutes or indefinitely, and a system
//! call that reads the file cannot be canceled. Each read therefore runs in its own thread, which is abandoned at the deadline.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

/// Maximum time for reading one file. The first access to a mount may take seconds.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Maximum number of abandoned threads per file, because a file that is read every few seconds must not fill the process with
/// threads. At the limit, the file is not read again until one of these threads has ended.
const ABANDONED_READS_MAX: usize = 8;

/// The number of abandoned reads of each file that have not ended.
static ABANDONED_READS: Mutex<BTreeMap<PathBuf, usize>> = Mutex::new(BTreeMap::new());

/// Reads a file within a timeout. Returns an error of the kind `TimedOut` if it takes longer.
pub(crate) fn read_within<T: Send + 'static>(
    timeout: Duration,
    path: &Path,
    read: fn(&Path) -> T,
) -> io::Result<T> {
    if ABANDONED_READS
        .lock()
        .get(path)
        .is_some_and(|count| *count >= ABANDONED_READS_MAX)
    {
        return Err(ErrorKind::TimedOut.into());
    }
    let (sender, receiver) = channel();
    let owned = path.to_owned();
    thread::Builder::new()
        .name("read file".to_owned())
        .spawn(move || {
            let read = read(&owned);
            let mut left_behind = ABANDONED_READS.lock();
            if sender.send(read).is_err() {
                forget(&mut left_behind, &owned);
            }
        })?;
    if let Ok(read) = receiver.recv_timeout(timeout) {
        return Ok(read);
    }
    // While this lock is held, either the result has arrived, or the thread will find that the receiver has been dropped.
    let mut left_behind = ABANDONED_READS.lock();
    let late = receiver.try_recv();
    drop(receiver);
    late.map_err(|_| {
        *left_behind.entry(path.to_owned()).or_default() += 1;
        ErrorKind::TimedOut.into()
    })
}

/// Returns the files whose abandoned reads have not ended.
#[must_use]
pub fn hanging_files() -> Vec<PathBuf> {
    ABANDONED_READS.lock().keys().cloned().collect()
}

fn forget(left_behind: &mut BTreeMap<PathBuf, usize>, path: &Path) {
    if let Some(count) = left_behind.get_mut(path) {
        *count -= 1;
        if *count == 0 {
            left_behind.remove(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::*;

    fn open_and_wait(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn reads_of_a_blocking_file_time_out_and_abandoned_reads_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, other) = (folder.path().join("pipe"), folder.path().join("other"));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        std::fs::write(&other, "well").unwrap();
        let timeout = Duration::from_millis(20);
        for _ in 0..ABANDONED_READS_MAX + 2 {
            let read = read_within(timeout, &pipe, open_and_wait);
            assert_eq!(read.unwrap_err().kind(), ErrorKind::TimedOut);
        }
        let of_pipe = || ABANDONED_READS.lock().get(&pipe).copied();
        assert_eq!(of_pipe(), Some(ABANDONED_READS_MAX));
        assert!(hanging_files().contains(&pipe));
        assert_eq!(
            read_within(READ_TIMEOUT, &other, open_and_wait).unwrap(),
            "well"
        );
        // Writing to the pipe unblocks all its readers.
        let mut writer = File::options().write(true).open(&pipe).unwrap();
        writer.write_all(b"late").unwrap();
        drop(writer);
        while of_pipe().is_some() {
            std::hint::spin_loop();
        }
        std::fs::remove_file(&pipe).unwrap();
        std::fs::write(&pipe, "again").unwrap();
        assert_eq!(
            read_within(READ_TIMEOUT, &pipe, open_and_wait).unwrap(),
            "again"
        );
    }
}
