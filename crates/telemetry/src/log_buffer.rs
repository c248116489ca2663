//! The log buffer of each thread. A thread that serves connections collects its lines and hands them over before it sleeps:
//! under load many lines cost one lock, and without load no line is late. Without the buffer, every line takes the lock of the
//! queue that all threads share.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::sync::Arc;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::log_queue::{LogClass, LogQueue, PIECE_BYTES};
use visible::{visible, visible_json};

/// A thread hands its lines over at this many bytes, even if it never sleeps.
const GATHERED_BYTES_MAX: usize = PIECE_BYTES;

thread_local! {
    static GATHERS: Cell<bool> = const { Cell::new(false) };
    static GATHERED: RefCell<Gathered> = const {
        RefCell::new(Gathered { known: Vec::new(), unknown: Vec::new(), output: None })
    };
    /// The class of this thread's events.
    static CLASS: Cell<LogClass> = const { Cell::new(LogClass::Known) };
}

struct Gathered {
    known: Vec<u8>,
    unknown: Vec<u8>,
    output: Option<Output>,
}

impl Gathered {
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

/// Makes this thread buffer its lines; it has to call [`write_lines`] before it sleeps and at its end.
pub fn gather_lines() {
    GATHERS.set(true);
}

/// Hands over the lines of this thread.
pub fn write_lines() {
    GATHERED.with_borrow_mut(|gathered| gathered.hand_over(false));
}

/// Runs `work`; events that it logs are of this class.
pub fn in_class(class: LogClass, work: impl FnOnce()) {
    let before = CLASS.replace(class);
    work();
    CLASS.set(before);
}

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineFormat {
    /// For programs, with the escapes of JSON's strings in quotes.
    Programs,
    /// Text for people, with colours for a terminal or without.
    Text { is_coloured: bool },
}

/// The log's queue, as the subscriber needs it.
#[derive(Clone)]
pub(crate) struct Output {
    pub(crate) queue: Arc<LogQueue>,
    form: LineFormat,
}

/// Takes one line.
pub(crate) struct BufferedLine<'a> {
    output: &'a Output,
    class: LogClass,
    /// Whether it is to be written at once, with all that was gathered before it: a warning is.
    is_urgent: bool,
}

impl Output {
    pub(crate) fn new(form: LineFormat) -> Output {
        let queue = Arc::default();
        Output { queue, form }
    }

    /// A line of the subscriber's as it is written: what callers and upstreams have put into it is one line, and steers no
    /// terminal.
    fn shown<'a>(&self, line: &'a str) -> Cow<'a, str> {
        let LineFormat::Text { is_coloured } = self.form else {
            return visible_json(line);
        };
        let words = line.strip_suffix('\n').unwrap_or(line);
        // Those of the colours are ours; the subscriber shows all others.
        let shown = words.split(|c| is_coloured && c == '\x1b').map(visible);
        let shown = shown.collect::<Vec<_>>().join("\x1b");
        format!("{shown}\n").into()
    }

    /// For one line.
    pub(crate) fn line(&self, class: LogClass, is_urgent: bool) -> BufferedLine<'_> {
        BufferedLine {
            output: self,
            class,
            is_urgent,
        }
    }
}

impl BufferedLine<'_> {
    /// Takes the whole line.
    pub(crate) fn take(self, line: &[u8]) {
        let is_gathered = GATHERS.get() && self.gather(line);
        if !is_gathered {
            let (known, unknown) = match self.class {
                LogClass::Known => (line, &[][..]),
                LogClass::Unknown => (&[][..], line),
            };
            self.output.queue.put(known, unknown, self.is_urgent);
        }
    }

    /// Whether the thread could gather it: not while it hands over, or at its very end.
    fn gather(&self, line: &[u8]) -> bool {
        let gathered = GATHERED.try_with(|gathered| {
            let mut gathered = gathered.try_borrow_mut().ok()?;
            let lines = match self.class {
                LogClass::Known => &mut gathered.known,
                LogClass::Unknown => &mut gathered.unknown,
            };
            lines.extend_from_slice(line);
            let is_full = lines.len() >= GATHERED_BYTES_MAX;
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
        // What strangers cause before a call is logged below INFO, and so are the most frequent events.
        let class = if *metadata.level() > Level::INFO {
            LogClass::Unknown
        } else {
            CLASS.get()
        };
        self.line(class, *metadata.level() < Level::INFO)
    }
}

impl Write for BufferedLine<'_> {
    /// The subscriber gives each line in one piece.
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

    /// What waits of each class, in the order in which it is written.
    fn waiting(output: &Output) -> String {
        let mut text = String::new();
        while let Some((class, piece)) = output.queue.next(Some(Instant::now())) {
            text.push_str(&String::from_utf8_lossy(&piece));
            output.queue.done(class, piece, 0);
        }
        text
    }

    /// What waits after the work, and what waits once the thread rests.
    fn written(work: impl FnOnce(&Output) + Send) -> (String, String) {
        let output = Output::new(LineFormat::Programs);
        // In a thread of its own: gathering is for good.
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
    fn only_a_thread_that_says_so_gathers() {
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
    fn what_others_have_written_is_one_line_and_steers_no_terminal() {
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
    fn a_warning_and_what_came_before_it_are_handed_over_at_once_and_so_is_much() {
        let (before, after) = written(|output| {
            gather_lines();
            line(output, LogClass::Known, "a\n");
            output.line(LogClass::Known, true).take(b"warning\n");
            line(output, LogClass::Known, "b\n");
        });
        assert_eq!((before.as_str(), after.as_str()), ("a\nwarning\n", "b\n"));
        let much = "x".repeat(GATHERED_BYTES_MAX);
        let (before, _) = written(|output| {
            gather_lines();
            line(output, LogClass::Unknown, &much);
        });
        assert_eq!(before, much);
    }
}
