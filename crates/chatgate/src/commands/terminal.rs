//! Styles, widths and the last line on standard error. Output to a file or a pipe has neither styles nor a width.

use std::io::{IsTerminal, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anstream::AutoStream;
use anstyle::{AnsiColor, Style};
use terminal_size::terminal_size_of;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
use visible::escape_invisible;

/// The style of a table's header.
pub(crate) const HEAD: Style = Style::new().bold();
/// The style of a success.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// The style of a rejected call.
pub(crate) const REFUSED: Style = AnsiColor::Yellow.on_default();
/// The style of a failure.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();

/// Number of spaces between two columns.
pub(crate) const GAP: u16 = 2;

/// Maximum time for which the exit of the process waits until standard error accepts the last line.
const ERROR_TIMEOUT: Duration = Duration::from_secs(2);

/// Returns the text in a style. Printing removes the style if the output is not a terminal or `NO_COLOR` is set.
pub(crate) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Prints an error on standard error. At a terminal there is no time limit, because a person may stop the output. A pipe that
/// nobody reads delays the exit of the process by [`ERROR_TIMEOUT`] at most.
pub(crate) fn print_error(text: &str) {
    if std::io::stderr().is_terminal() {
        return write_error(text);
    }
    let (done, is_done) = mpsc::channel();
    let text = text.to_owned();
    let thread = thread::Builder::new().spawn(move || {
        write_error(&text);
        // Sending fails if the timeout has passed and nobody receives.
        let _ = done.send(());
    });
    if thread.is_ok() {
        // The exit of the process also ends the thread.
        let _ = is_done.recv_timeout(ERROR_TIMEOUT);
    }
}

fn write_error(text: &str) {
    // The text may quote untrusted input, so everything that would control the terminal is escaped, except line ends.
    let text = text
        .split('\n')
        .map(escape_invisible)
        .collect::<Vec<_>>()
        .join("\n");
    let mut stderr = AutoStream::auto(std::io::stderr());
    // If standard error is closed or full, the error cannot be shown anywhere.
    let _ = writeln!(stderr, "{BAD}chatgate:{BAD:#} {text}");
}

/// Prints a warning on standard error.
pub(crate) fn print_warning(text: &str) {
    let _ = writeln!(
        std::io::stderr().lock(),
        "warning: {}",
        escape_invisible(text)
    );
}

/// Returns the width of the terminal on standard output; `None` if standard output is not a terminal.
pub(crate) fn width() -> Option<u16> {
    terminal_size_of(std::io::stdout()).map(|(width, _)| width.0)
}

/// Returns the text, cut and with an ellipsis if it does not fit.
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

/// Returns the text, padded with spaces to this width.
pub(crate) fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_and_padded_by_display_width() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("部落格x", 4), "部…");
        assert_eq!(padded("部", 4), "部  ");
    }
}
