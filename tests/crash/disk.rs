//! How long the disk and the machine take for the least that a commit needs, measured beside a gateway: on a busy machine
//! that is what a row waits for, whatever the gateway does.

use std::io::Write;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Rest between two writes: few enough to leave the disk idle.
const REST: Duration = Duration::from_millis(20);

/// Writes a page and waits for it, over and over, until it is dropped.
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
                // A rest that comes late to its end is a stall as well.
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

    /// The longest write of those that were under way within so long before this instant.
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
