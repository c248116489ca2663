//! Reads with a deadline: a file on a network mount that is gone does not answer for minutes or for ever, and no call of the
//! system that reads it can be given up. Each read has a thread of its own, which is left behind when the time is over.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Longest time for one file: a mount that is used for the first time may take seconds.
pub(crate) const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// Most threads left behind for one file: one that is looked at every few seconds must not fill the process with them. After
/// so many it is not read again until one of them has ended.
const LEFT_BEHIND_MAX: usize = 8;

/// How many reads of each file were left behind and have not ended.
static LEFT_BEHIND: Mutex<BTreeMap<PathBuf, usize>> = Mutex::new(BTreeMap::new());

/// Reads a file, for so long at most; an error of the kind `TimedOut` says that it was longer.
pub(crate) fn read_within<T: Send + 'static>(
    timeout: Duration,
    path: &Path,
    read: fn(&Path) -> T,
) -> io::Result<T> {
    if left_behind()
        .get(path)
        .is_some_and(|count| *count >= LEFT_BEHIND_MAX)
    {
        return Err(ErrorKind::TimedOut.into());
    }
    let (sender, receiver) = channel();
    let owned = path.to_owned();
    thread::Builder::new()
        .name("read file".to_owned())
        .spawn(move || {
            let read = read(&owned);
            let mut left_behind = left_behind();
            if sender.send(read).is_err() {
                forget(&mut left_behind, &owned);
            }
        })?;
    if let Ok(read) = receiver.recv_timeout(timeout) {
        return Ok(read);
    }
    // Under this lock either the result is there, or the thread will see that nobody waits for it any more.
    let mut left_behind = left_behind();
    let late = receiver.try_recv();
    drop(receiver);
    late.map_err(|_| {
        *left_behind.entry(path.to_owned()).or_default() += 1;
        ErrorKind::TimedOut.into()
    })
}

/// The files whose reading has not ended in time and still goes on.
#[must_use]
pub fn hanging_files() -> Vec<PathBuf> {
    left_behind().keys().cloned().collect()
}

fn forget(left_behind: &mut BTreeMap<PathBuf, usize>, path: &Path) {
    if let Some(count) = left_behind.get_mut(path) {
        *count -= 1;
        if *count == 0 {
            left_behind.remove(path);
        }
    }
}

fn left_behind() -> MutexGuard<'static, BTreeMap<PathBuf, usize>> {
    LEFT_BEHIND.lock().unwrap_or_else(PoisonError::into_inner)
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
    fn a_file_that_blocks_is_given_up_and_read_again_so_many_times() {
        let folder = tempfile::tempdir().unwrap();
        let (pipe, other) = (folder.path().join("pipe"), folder.path().join("other"));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        std::fs::write(&other, "well").unwrap();
        let timeout = Duration::from_millis(20);
        for _ in 0..LEFT_BEHIND_MAX + 2 {
            let read = read_within(timeout, &pipe, open_and_wait);
            assert_eq!(read.unwrap_err().kind(), ErrorKind::TimedOut);
        }
        let of_pipe = || left_behind().get(&pipe).copied();
        assert_eq!(of_pipe(), Some(LEFT_BEHIND_MAX));
        assert!(hanging_files().contains(&pipe));
        assert_eq!(
            read_within(READ_TIMEOUT, &other, open_and_wait).unwrap(),
            "well"
        );
        // Whoever writes the pipe frees all who wait for it.
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
