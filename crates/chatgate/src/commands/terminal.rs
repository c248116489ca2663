//! Styles, widths and the last line on standard error. Output that goes to a file or a pipe has neither styles nor a width.

use std::io::{IsTerminal, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use terminal_size::terminal_size_of;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
use visible::visible;

/// The head of a table.
pub(crate) const HEAD: Style = Style::new().bold();
/// Success.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// A refused call.
pub(crate) const REFUSED: Style = AnsiColor::Yellow.on_default();
/// A failure.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();

/// Spaces between two columns.
pub(crate) const GAP: u16 = 2;

/// How long the end of the process waits for standard error to take its last line.
const ERROR_TIMEOUT: Duration = Duration::from_secs(2);

/// The text in a style. Printing removes it where there is no terminal for it, or `NO_COLOR` is set.
pub(crate) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Prints an error on standard error. A person at a terminal may take any time to read it; a pipe that nobody reads delays
/// the end of the process by [`ERROR_TIMEOUT`] at most.
pub(crate) fn print_error(text: &str) {
    if std::io::stderr().is_terminal() {
        return write_error(text);
    }
    let (done, is_done) = mpsc::channel();
    let text = text.to_owned();
    let thread = thread::Builder::new().spawn(move || {
        write_error(&text);
        // Nobody receives this any more once the time is over.
        let _ = done.send(());
    });
    if thread.is_ok() {
        // The end of the process ends the thread, too.
        let _ = is_done.recv_timeout(ERROR_TIMEOUT);
    }
}

fn write_error(text: &str) {
    // The text may quote strangers: all that would steer the terminal is escaped, but for line ends.
    let text = text.split('\n').map(visible).collect::<Vec<_>>().join("\n");
    let mut stderr = AutoStream::auto(std::io::stderr());
    // Where standard error is gone or full, nobody can be shown this.
    let _ = writeln!(stderr, "{BAD}chatgate:{BAD:#} {text}");
}

/// Prints a warning on standard error.
pub(crate) fn print_warning(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "warning: {}", visible(text));
}

/// The width of the terminal that standard output is; none if it is not a terminal.
pub(crate) fn width() -> Option<u16> {
    terminal_size_of(std::io::stdout()).map(|(width, _)| width.0)
}

/// The text, or as much of it as fits before an ellipsis.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut used = 1;
    let fits = |c: &char| {
        used += c.width().unwrap_or(0);
        used <= width
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

/// The text with blanks up to this width.
pub(crate) fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_measured_as_it_is_seen() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("部落格x", 4), "部…");
        assert_eq!(padded("部", 4), "部  ");
    }
}
