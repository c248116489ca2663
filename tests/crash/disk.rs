//! Measures, next to a gateway, how long the disk and the machine take for the least work of a commit. On a busy machine a row
//! waits that long, whatever the gateway does.

use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Pause between two writes, long enough to leave the disk mostly idle.
const REST: Duration = Duration::from_millis(20);

/// Writes a page and waits for it, again and again, until the probe is dropped.
pub(super) struct Probe {
    writes: Arc<Mutex<Vec<(Instant, Instant)>>>,
    stop: Option<Sender<()>>,
    writing: Option<std::thread::JoinHandle<()>>,
}

impl Probe {
    pub(super) fn start(folder: &Path) -> Probe {
        let mut file = std::fs::File::create(folder.join("probe")).unwrap();
        let writes = Arc::<Mutex<Vec<(Instant, Instant)>>>::default();
        let written = Arc::clone(&writes);
        let (stop, stopped) = channel::<()>();
        let writing = std::thread::spawn(move || {
            let mut began = Instant::now();
            loop {
                file.write_all(&[0; 4096]).unwrap();
                file.sync_data().unwrap();
                written.lock().unwrap().push((began, Instant::now()));
                // A pause that ends late counts as a stall as well.
                began = Instant::now() + REST;
                if stopped.recv_timeout(REST) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        });
        Probe {
            writes,
            stop: Some(stop),
            writing: Some(writing),
        }
    }

    /// Returns the longest of the writes that were under way within `window` before this instant.
    pub(super) fn longest(&self, window: Duration, before: Instant) -> Duration {
        let writes = self.writes.lock().unwrap();
        let near = writes.iter().filter(|(began, ended)| {
            let is_after = before.saturating_duration_since(*ended) < window;
            is_after && *began < before
        });
        let took = near.map(|(began, ended)| ended.saturating_duration_since(*began));
        took.max().unwrap_or_default()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ = self.writing.take().map(std::thread::JoinHandle::join);
    }
}
