//! What a terminal is shown beside the plain words: colours, tables that fit it, and that something goes on. Where output
//! goes elsewhere, words are all there is, whole and on one line.

use std::future::Future;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use terminal_size::terminal_size_of;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::visible::visible;

/// The head of a table.
pub(crate) const HEAD: Style = Style::new().bold();
/// What went well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What was refused.
pub(crate) const REFUSED: Style = AnsiColor::Yellow.on_default();
/// What failed.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();

/// Spaces between two columns.
pub(crate) const GAP: usize = 2;

/// The narrowest that a column is made, in columns of the terminal: a word and its cut.
const COLUMN_MIN: usize = 5;

/// How long something goes on before it is shown, and how often it is shown anew.
const PATIENCE: Duration = Duration::from_millis(200);

/// The length of a bar, in columns of the terminal.
const BAR: u64 = 24;

/// How long the end of a process waits for its last line to be taken.
const COMPLAINT_TIMEOUT: Duration = Duration::from_secs(2);

/// The text in a style, if standard output shows styles: it is a terminal that can, and `NO_COLOR` is not set.
pub(crate) fn painted(style: Style, text: &str) -> String {
    match AutoStream::choice(&std::io::stdout()) {
        ColorChoice::Never => text.to_owned(),
        ColorChoice::Auto | ColorChoice::Always | ColorChoice::AlwaysAnsi => {
            format!("{style}{text}{style:#}")
        }
    }
}

/// Writes what went wrong to standard error. A person at a terminal may take as long as they like; a pipe that nobody reads
/// holds up the end of the process no longer than [`COMPLAINT_TIMEOUT`].
pub(crate) fn complain(text: &str) {
    if std::io::stderr().is_terminal() {
        return write_complaint(text);
    }
    let (done, is_done) = mpsc::channel();
    let text = text.to_owned();
    let thread = thread::Builder::new().spawn(move || {
        write_complaint(&text);
        // After the time is over nobody waits any more.
        let _ = done.send(());
    });
    if thread.is_ok() {
        // The end of the process ends the thread, too.
        let _ = is_done.recv_timeout(COMPLAINT_TIMEOUT);
    }
}

fn write_complaint(text: &str) {
    // Of ours there are line ends alone; all else that steers a terminal is somebody else's.
    let text = text.split('\n').map(visible).collect::<Vec<_>>().join("\n");
    let mut stderr = AutoStream::auto(std::io::stderr());
    // Where standard error is gone or full, there is nobody left to be shown this.
    let _ = writeln!(stderr, "{BAD}chatgate:{BAD:#} {text}");
}

/// The width of the terminal that standard output is; none if it is no terminal.
pub(crate) fn room() -> Option<usize> {
    terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0))
}

/// The width of each column, so that a line fits into the room: the widest give way first.
pub(crate) fn fitting(mut widths: Vec<usize>, room: Option<usize>) -> Vec<usize> {
    let Some(room) = room else { return widths };
    let room = room.saturating_sub(GAP * widths.len().saturating_sub(1));
    while widths.iter().sum::<usize>() > room {
        match widths.iter_mut().max() {
            Some(widest) if *widest > COLUMN_MIN => *widest -= 1,
            Some(_) | None => break,
        }
    }
    widths
}

/// The text in lines of no more than this width, broken after a comma or a blank where there is one in the last half.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    while rest.width() > width {
        let end = prefix(rest, width);
        let soft = rest[..end].rfind([',', ' ']).map(|at| at + 1);
        let end = soft.filter(|at| *at > end / 2).unwrap_or(end);
        lines.push(rest[..end].trim_end().to_owned());
        rest = &rest[end..];
    }
    if !rest.is_empty() || lines.is_empty() {
        lines.push(rest.to_owned());
    }
    lines
}

/// The text, or as much of it as has room before a sign that more was there.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    format!("{}…", &text[..prefix(text, width.saturating_sub(1))])
}

/// The text with blanks up to this width.
pub(crate) fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// How many bytes of a text fit into this width; one character at least, so that there is an end to it.
fn prefix(text: &str, width: usize) -> usize {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += c.width().unwrap_or(0);
        if used > width && at > 0 {
            return at;
        }
    }
    text.len()
}

/// How far something has come.
#[derive(Default)]
pub(crate) struct Progress {
    bytes: AtomicU64,
    /// All of them; 0 as long as it is not known.
    of: AtomicU64,
}

impl Progress {
    /// So many bytes are there, and so many there will be.
    pub(crate) fn set(&self, bytes: u64, of: Option<u64>) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.of.store(of.unwrap_or(0), Ordering::Relaxed);
    }

    /// A bar if the end is known, else how much there is, and how long it takes.
    fn shown(&self, seconds: u64) -> String {
        let bytes = self.bytes.load(Ordering::Relaxed);
        let of = self.of.load(Ordering::Relaxed);
        let mib = |bytes: u64| format!("{}.{}", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20);
        match (bytes, of) {
            (0, _) => format!("{seconds} s"),
            (_, 0) => format!("{} MiB, {seconds} s", mib(bytes)),
            _ => {
                let parts = |most: u64| bytes.min(of).saturating_mul(most) / of;
                let done = parts(BAR);
                let bar: String = (0..BAR)
                    .map(|at| if at < done { '#' } else { '.' })
                    .collect();
                let (percent, there, all) = (parts(100), mib(bytes), mib(of));
                format!("[{bar}] {percent} %, {there} of {all} MiB, {seconds} s")
            }
        }
    }
}

/// Shows what goes on until the work is done, on one line of standard error if that is a terminal, and leaves nothing
/// behind.
pub(crate) async fn during<T>(what: &str, progress: &Progress, work: impl Future<Output = T>) -> T {
    let mut stderr = std::io::stderr();
    if !stderr.is_terminal() {
        return work.await;
    }
    let begun = Instant::now();
    let mut ticks = interval_at(begun + PATIENCE, PATIENCE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut work = std::pin::pin!(work);
    let mut is_shown = false;
    loop {
        tokio::select! {
            biased;
            done = &mut work => {
                if is_shown {
                    let _ = write!(stderr, "\r\x1b[K");
                }
                return done;
            }
            _ = ticks.tick() => {
                let text = format!("{what}: {}", progress.shown(begun.elapsed().as_secs()));
                // A line that is wider than the terminal could not be written over.
                let width = terminal_size_of(&stderr).map_or(80, |(width, _)| usize::from(width.0));
                let _ = write!(stderr, "\r{}\x1b[K", cut(&text, width.saturating_sub(1)));
                let _ = stderr.flush();
                is_shown = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_columns_give_way() {
        assert_eq!(fitting(vec![4, 30, 10], None), [4, 30, 10]);
        assert_eq!(fitting(vec![4, 30, 10], Some(48)), [4, 30, 10]);
        assert_eq!(fitting(vec![4, 30, 10], Some(40)), [4, 22, 10]);
        assert_eq!(fitting(vec![4, 30, 10], Some(24)), [4, 8, 8]);
        assert_eq!(fitting(vec![4, 30, 10], Some(1)), [4, 5, 5]);
    }

    #[test]
    fn text_is_measured_as_it_is_seen() {
        assert_eq!(
            wrapped("10.0.0.0/8,192.0.2.0/24", 14),
            ["10.0.0.0/8,", "192.0.2.0/24"]
        );
        assert_eq!(wrapped("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrapped("部落格", 4), ["部落", "格"]);
        assert_eq!(wrapped("部", 1), ["部"]);
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdef", 4), "abc…");
        assert_eq!(cut("部落格x", 4), "部…");
        assert_eq!(padded("部", 4), "部  ");
    }

    #[test]
    fn a_bar_needs_an_end() {
        let progress = Progress::default();
        assert_eq!(progress.shown(3), "3 s");
        progress.set(3 << 19, None);
        assert_eq!(progress.shown(3), "1.5 MiB, 3 s");
        progress.set(3 << 19, Some(3 << 20));
        assert_eq!(
            progress.shown(3),
            "[############............] 50 %, 1.5 of 3.0 MiB, 3 s"
        );
    }
}
