//! Standard output for the log. A thread that serves connections gathers its lines and writes them when it has nothing else
//! to do, before it sleeps: under load many lines are one write, and without load a line is not late.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// With so many bytes gathered a thread writes them even if it has no rest: a pipe takes as much at once.
const GATHERED_BYTES_MAX: usize = 64 * 1024;

thread_local! {
    static GATHERS: Cell<bool> = const { Cell::new(false) };
    static GATHERED: RefCell<Gathered> = const { RefCell::new(Gathered { lines: Vec::new(), output: None }) };
}

struct Gathered {
    lines: Vec<u8>,
    output: Option<Output>,
}

impl Gathered {
    fn write(&mut self) {
        if let Some(output) = self.output.as_ref().filter(|_| !self.lines.is_empty()) {
            // Like every log, it can't tell anybody that it can't be written.
            let _ = output.write(&self.lines);
        }
        self.lines.clear();
    }
}

/// From here on this thread gathers its lines; it has to call [`write_lines`] before each rest and at its end.
pub(crate) fn gather_lines() {
    GATHERS.set(true);
}

/// Writes what this thread has gathered.
pub(crate) fn write_lines() {
    GATHERED.with_borrow_mut(Gathered::write);
}

/// Standard output without a buffer of its own. Lines of different threads don't mix.
#[derive(Clone)]
pub(super) struct Output(Arc<Mutex<File>>);

impl Output {
    /// Another handle of standard output.
    pub(super) fn standard() -> io::Result<Output> {
        let file = io::stdout().as_fd().try_clone_to_owned()?;
        Ok(Output(Arc::new(Mutex::new(file.into()))))
    }

    fn write(&self, lines: &[u8]) -> io::Result<()> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(lines)
    }
}

/// Takes one line.
pub(super) struct Line<'a> {
    output: &'a Output,
    /// Whether it may be gathered: a warning is written at once.
    may_wait: bool,
}

impl Output {
    /// For one line, which may be gathered or not.
    pub(super) fn line(&self, may_wait: bool) -> Line<'_> {
        Line {
            output: self,
            may_wait,
        }
    }
}

impl Line<'_> {
    /// Takes the whole line.
    pub(super) fn take(self, line: &[u8]) -> io::Result<()> {
        if !GATHERS.get() {
            return self.output.write(line);
        }
        GATHERED.with_borrow_mut(|gathered| {
            gathered.lines.extend_from_slice(line);
            gathered.output.get_or_insert_with(|| self.output.clone());
            if !self.may_wait || gathered.lines.len() >= GATHERED_BYTES_MAX {
                gathered.write();
            }
        });
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        self.line(false)
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        self.line(*metadata.level() >= Level::INFO)
    }
}

impl Write for Line<'_> {
    /// The subscriber gives each line in one piece.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.output.line(self.may_wait).take(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(work: impl FnOnce(&Output) + Send) -> (String, String) {
        let file = tempfile::NamedTempFile::new().unwrap();
        let output = Output(Arc::new(Mutex::new(file.reopen().unwrap())));
        let read = || std::fs::read_to_string(file.path()).unwrap();
        // In a thread of its own: gathering is for good.
        std::thread::scope(|scope| {
            let working = scope.spawn(|| {
                work(&output);
                let before = read();
                write_lines();
                (before, read())
            });
            working.join().unwrap()
        })
    }

    fn line(output: &Output, may_wait: bool, text: &str) {
        output.line(may_wait).take(text.as_bytes()).unwrap();
    }

    #[test]
    fn only_a_thread_that_says_so_gathers() {
        let (before, after) = written(|output| line(output, true, "a\n"));
        assert_eq!((before.as_str(), after.as_str()), ("a\n", "a\n"));
        let (before, after) = written(|output| {
            gather_lines();
            line(output, true, "a\n");
            line(output, true, "b\n");
        });
        assert_eq!((before.as_str(), after.as_str()), ("", "a\nb\n"));
    }

    #[test]
    fn a_warning_and_what_came_before_it_are_written_at_once_and_so_is_much() {
        let (before, _) = written(|output| {
            gather_lines();
            line(output, true, "a\n");
            line(output, false, "warning\n");
            line(output, true, "b\n");
        });
        assert_eq!(before, "a\nwarning\n");
        let much = "x".repeat(GATHERED_BYTES_MAX);
        let (before, _) = written(|output| {
            gather_lines();
            line(output, true, &much);
        });
        assert_eq!(before, much);
    }
}
