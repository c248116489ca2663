//! The thread that writes the log, which is the only thread that waits for standard output. If the reader stalls or has closed the
//! pipe, or the disk is full, the thread counts the lines that it cannot write and continues with the next ones.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::log_queue::{LogQueue, count_lines};

/// Minimum time between two reports of dropped lines.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The pause before a retry if the output is full and does not block. Another process may have set `O_NONBLOCK`, because all
/// processes with the descriptor share the flag.
const RETRY: Duration = Duration::from_millis(10);

/// Starts the thread that writes the lines of this queue until the process ends.
///
/// # Errors
/// The system cannot start a thread.
pub(crate) fn start(queue: Arc<LogQueue>, output: File) -> io::Result<()> {
    let thread = thread::Builder::new().name("log".to_owned());
    thread.spawn(move || work(&queue, output)).map(|_| ())
}

fn work(queue: &LogQueue, output: impl Write) {
    let mut output = Lines::new(output);
    let (mut reported, mut reported_at) = (queue.dropped(), None::<Instant>);
    let mut is_well = true;
    loop {
        let dropped = queue.dropped();
        let has_to_report = is_well && dropped != reported;
        let due =
            reported_at.map_or_else(Instant::now, |reported_at| reported_at + REPORT_INTERVAL);
        if has_to_report && due <= Instant::now() {
            tracing::warn!(
                target: "chatgate::log",
                known = dropped[0] - reported[0],
                unknown = dropped[1] - reported[1],
                "log lines were dropped, because standard output was too slow"
            );
            (reported, reported_at) = (dropped, Some(Instant::now()));
            continue;
        }
        if let Some((class, piece)) = queue.next(has_to_report.then_some(due)) {
            let lost = output.write(&piece);
            is_well = lost == 0;
            queue.done(class, piece, lost);
        }
    }
}

/// An output that writes whole lines.
struct Lines<W> {
    output: W,
    /// True if the last line is unfinished, because the output failed within it.
    is_torn: bool,
}

impl<W: Write> Lines<W> {
    fn new(output: W) -> Lines<W> {
        Lines {
            output,
            is_torn: false,
        }
    }

    /// Writes lines, and returns the number of lines that were not written completely.
    fn write(&mut self, lines: &[u8]) -> u64 {
        if self.is_torn && self.write_all(b"\n") > 0 {
            return count_lines(lines);
        }
        let unwritten = self.write_all(lines);
        let (written, unwritten) = lines.split_at(lines.len() - unwritten);
        if let Some(last) = written.last() {
            self.is_torn = *last != b'\n';
        }
        count_lines(unwritten)
    }

    /// Writes a piece, and returns the number of bytes that were not written.
    fn write_all(&mut self, mut bytes: &[u8]) -> usize {
        while !bytes.is_empty() {
            match self.output.write(bytes) {
                Ok(0) => break,
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::park_timeout(RETRY),
                Err(_) => break,
            }
        }
        bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that accepts `room` bytes and then fails. It also returns temporary errors.
    struct Disk {
        text: Vec<u8>,
        room: usize,
        asked: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.asked += 1;
            let count = bytes.len().min(self.room);
            match (self.asked % 3, count) {
                (1, _) => return Err(ErrorKind::WouldBlock.into()),
                (2, _) => return Err(ErrorKind::Interrupted.into()),
                (_, 0) => return Err(ErrorKind::StorageFull.into()),
                _ => {}
            }
            self.room -= count;
            self.text.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_incomplete_line_is_terminated_before_the_next_one() {
        let mut lines = Lines::new(Disk {
            text: Vec::new(),
            room: 6,
            asked: 0,
        });
        assert_eq!(lines.write(b"one\ntwo\nthree\n"), 2);
        assert_eq!(lines.write(b"four\n"), 1);
        lines.output.room = 100;
        assert_eq!(lines.write(b"five\n"), 0);
        assert_eq!(lines.write(b"six\n"), 0);
        let text = String::from_utf8(lines.output.text).unwrap();
        assert_eq!(text, "one\ntw\nfive\nsix\n");
    }
}
