//! Shows the progress of a command on one line of standard error.

use std::future::Future;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use terminal_size::terminal_size_of;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::terminal::cut;

/// The delay before the progress of a command is shown, and the time between two updates.
const PATIENCE: Duration = Duration::from_millis(200);

/// The length of a bar, in columns of the terminal.
const BAR: u64 = 24;

/// The progress of one command.
#[derive(Default)]
pub(crate) struct TransferProgress {
    bytes: AtomicU64,
    /// The total number of bytes; 0 if unknown.
    of: AtomicU64,
}

impl TransferProgress {
    /// Sets the number of bytes so far, and the total if it is known.
    pub(crate) fn set(&self, bytes: u64, of: Option<u64>) {
        self.bytes.store(bytes, Ordering::Relaxed);
        self.of.store(of.unwrap_or(0), Ordering::Relaxed);
    }

    /// Renders a bar if the total is known, otherwise the bytes so far, and then the time.
    fn render(&self, seconds: u64) -> String {
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

/// Shows progress until the work is done, if standard error is a terminal. Then removes the line.
pub(crate) async fn during<T>(
    what: &str,
    progress: &TransferProgress,
    work: impl Future<Output = T>,
) -> T {
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
                let text = format!("{what}: {}", progress.render(begun.elapsed().as_secs()));
                // The line is cut, because a line that is wider than the terminal could not be overwritten.
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
    fn a_progress_bar_is_shown_only_if_the_total_is_known() {
        let progress = TransferProgress::default();
        assert_eq!(progress.render(3), "3 s");
        progress.set(3 << 19, None);
        assert_eq!(progress.render(3), "1.5 MiB, 3 s");
        progress.set(3 << 19, Some(3 << 20));
        assert_eq!(
            progress.render(3),
            "[############............] 50 %, 1.5 of 3.0 MiB, 3 s"
        );
    }
}
