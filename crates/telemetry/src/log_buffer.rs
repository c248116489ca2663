//! The log buffer of each thread. A thread that serves connections collects its lines and hands them over to the queue before it
//! sleeps. Under load, many lines need only one lock; without load, no line is delayed. Without the buffer, every line would take
//! the lock of the queue, which all threads share.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::sync::Arc;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::log_queue::{LogClass, LogQueue, PIECE_BYTES};
use visible::{escape_invisible, escape_invisible_in_json};

/// Number of bytes at which a thread hands over its lines even if it does not sleep.
const BUFFER_BYTES_MAX: usize = PIECE_BYTES;

thread_local! {
    static IS_BUFFERED: Cell<bool> = const { Cell::new(false) };
    static BUFFER: RefCell<ThreadBuffer> = const {
        RefCell::new(ThreadBuffer { known: Vec::new(), unknown: Vec::new(), output: None })
    };
    /// The class of the events of this thread.
    static CLASS: Cell<LogClass> = const { Cell::new(LogClass::Known) };
}

struct ThreadBuffer {
    known: Vec<u8>,
    unknown: Vec<u8>,
    output: Option<Output>,
}

impl ThreadBuffer {
    fn hand_over(&mut self, is_urgent: bool) {
        if self.known.is_empty() && self.unknown.is_empty() {
            return;
        }
        if let Some(output) = &self.output {
            output.queue.put(&self.known, &self.unknown, is_urgent);
        }
        self.known.clear();
        self.unknown.clear();
    }
}

/// Makes this thread buffer its lines. The thread must call [`write_lines`] before it sleeps and before it ends.
pub fn gather_lines() {
    IS_BUFFERED.set(true);
}

/// Hands over the lines of this thread to the queue.
pub fn write_lines() {
    BUFFER.with_borrow_mut(|gathered| gathered.hand_over(false));
}

/// Runs `work` and assigns this class to the events that it logs.
pub fn in_class(class: LogClass, work: impl FnOnce()) {
    let before = CLASS.replace(class);
    work();
    CLASS.set(before);
}

/// The format of the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineFormat {
    /// For programs. Characters in quotes are escaped as in JSON strings.
    Programs,
    /// Text for people, with colors for a terminal or without.
    Text { is_coloured: bool },
}

/// The queue of the log, in the form that the subscriber needs.
#[derive(Clone)]
pub(crate) struct Output {
    pub(crate) queue: Arc<LogQueue>,
    form: LineFormat,
}

/// The writer of one line.
pub(crate) struct BufferedLine<'a> {
    output: &'a Output,
    class: LogClass,
    /// True if the line must be written immediately, with all lines before it, as a warning must.
    is_urgent: bool,
}

impl Output {
    pub(crate) fn new(form: LineFormat) -> Output {
        let queue = Arc::default();
        Output { queue, form }
    }

    /// Returns a line of the subscriber in its written form. Values from callers and upstreams cannot add line breaks or control
    /// the terminal.
    fn shown<'a>(&self, line: &'a str) -> Cow<'a, str> {
        let LineFormat::Text { is_coloured } = self.form else {
            return escape_invisible_in_json(line);
        };
        let words = line.strip_suffix('\n').unwrap_or(line);
        // These escape characters are the subscriber's own colors; the subscriber escapes all others.
        let shown = words
            .split(|c| is_coloured && c == '\x1b')
            .map(escape_invisible);
        let shown = shown.collect::<Vec<_>>().join("\x1b");
        format!("{shown}\n").into()
    }

    /// Returns a writer for one line.
    pub(crate) fn line(&self, class: LogClass, is_urgent: bool) -> BufferedLine<'_> {
        BufferedLine {
            output: self,
            class,
            is_urgent,
        }
    }
}

impl BufferedLine<'_> {
    /// Writes the line.
    pub(crate) fn take(self, line: &[u8]) {
        let is_gathered = IS_BUFFERED.get() && self.gather(line);
        if !is_gathered {
            let (known, unknown) = match self.class {
                LogClass::Known => (line, &[][..]),
                LogClass::Unknown => (&[][..], line),
            };
            self.output.queue.put(known, unknown, self.is_urgent);
        }
    }

    /// Adds the line to the buffer. Returns false while the thread hands over its lines, and at the very end of the thread.
    fn gather(&self, line: &[u8]) -> bool {
        let gathered = BUFFER.try_with(|gathered| {
            let mut gathered = gathered.try_borrow_mut().ok()?;
            let lines = match self.class {
                LogClass::Known => &mut gathered.known,
                LogClass::Unknown => &mut gathered.unknown,
            };
            lines.extend_from_slice(line);
            let is_full = lines.len() >= BUFFER_BYTES_MAX;
            gathered.output.get_or_insert_with(|| self.output.clone());
            if self.is_urgent || is_full {
                gathered.hand_over(self.is_urgent);
            }
            Some(())
        });
        gathered.ok().flatten().is_some()
    }
}

impl<'a> MakeWriter<'a> for Output {
    type Writer = BufferedLine<'a>;

    fn make_writer(&'a self) -> BufferedLine<'a> {
        self.line(CLASS.get(), true)
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> BufferedLine<'a> {
        // Events below INFO can be caused by strangers before a call, or are the most frequent ones.
        let class = if *metadata.level() > Level::INFO {
            LogClass::Unknown
        } else {
            CLASS.get()
        };
        self.line(class, *metadata.level() < Level::INFO)
    }
}

impl Write for BufferedLine<'_> {
    /// Writes one line, because the subscriber calls this once per line.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let shown = self.output.shown(&text);
        let output = self.output.line(self.class, self.is_urgent);
        output.take(shown.as_bytes());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Returns the queued lines in the order in which they would be written.
    fn waiting(output: &Output) -> String {
        let mut text = String::new();
        while let Some((class, piece)) = output.queue.next(Some(Instant::now())) {
            text.push_str(&String::from_utf8_lossy(&piece));
            output.queue.done(class, piece, 0);
        }
        text
    }

    /// Returns the queued lines after the work, and the lines queued after a call of [`write_lines`].
    fn written(work: impl FnOnce(&Output) + Send) -> (String, String) {
        let output = Output::new(LineFormat::Programs);
        // A separate thread is needed, because buffering cannot be switched off again.
        std::thread::scope(|scope| {
            let working = scope.spawn(|| {
                work(&output);
                let before = waiting(&output);
                write_lines();
                (before, waiting(&output))
            });
            working.join().unwrap()
        })
    }

    fn line(output: &Output, class: LogClass, text: &str) {
        output.line(class, false).take(text.as_bytes());
    }

    #[test]
    fn only_a_thread_that_enables_buffering_buffers_its_lines() {
        let (before, after) = written(|output| line(output, LogClass::Known, "a\n"));
        assert_eq!((before.as_str(), after.as_str()), ("a\n", ""));
        let (before, after) = written(|output| {
            gather_lines();
            line(output, LogClass::Unknown, "a\n");
            line(output, LogClass::Known, "b\n");
            line(output, LogClass::Known, "c\n");
        });
        assert_eq!((before.as_str(), after.as_str()), ("", "b\nc\na\n"));
    }

    #[test]
    fn control_characters_in_log_lines_are_escaped() {
        let forms = [
            (
                LineFormat::Programs,
                "{\"a\":\"\u{202e}\u{9b}\"}\n",
                "{\"a\":\"\\u202e\\u009b\"}\n",
            ),
            (
                LineFormat::Text { is_coloured: false },
                "a\u{1b}[2J\nb\u{202e}\n",
                "a\\u{1b}[2J\\u{a}b\\u{202e}\n",
            ),
            (
                LineFormat::Text { is_coloured: true },
                "\u{1b}[32mINFO\u{202e}\n",
                "\u{1b}[32mINFO\\u{202e}\n",
            ),
        ];
        for (form, line, shown) in forms {
            assert_eq!(Output::new(form).shown(line), shown);
        }
    }

    #[test]
    fn a_warning_or_a_full_buffer_flushes_immediately() {
        let (before, after) = written(|output| {
            gather_lines();
            line(output, LogClass::Known, "a\n");
            output.line(LogClass::Known, true).take(b"warning\n");
            line(output, LogClass::Known, "b\n");
        });
        assert_eq!((before.as_str(), after.as_str()), ("a\nwarning\n", "b\n"));
        let much = "x".repeat(BUFFER_BYTES_MAX);
        let (before, _) = written(|output| {
            gather_lines();
            line(output, LogClass::Unknown, &much);
        });
        assert_eq!(before, much);
    }
}
