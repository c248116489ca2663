//! The threads that serve connections: one for each core, each with a runtime of its own. A connection stays where it began,
//! and so do its tasks and what it has open to the upstream, which costs a fifth less than tasks that move between threads.
//! All else, from the journal to the operators' side, runs beside them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::telemetry;

/// All of them.
pub(crate) struct Workers(Vec<Worker>);

struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
    /// Dropped when it has to end.
    _stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// A connection's seat at a worker; given back when dropped.
pub(crate) struct Seat {
    /// Where the connection runs.
    pub(crate) runtime: Handle,
    connections: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts them.
    ///
    /// # Errors
    /// When the system has no thread or no descriptor for one.
    pub(crate) fn start() -> io::Result<Workers> {
        (0..forward::workers())
            .map(Worker::start)
            .collect::<Result<_, _>>()
            .map(Workers)
    }

    /// A seat at the one with the fewest connections.
    pub(crate) fn seat(&self) -> Option<Seat> {
        let load = |worker: &&Worker| worker.connections.load(Ordering::Relaxed);
        let worker = self.0.iter().min_by_key(load)?;
        worker.connections.fetch_add(1, Ordering::Relaxed);
        Some(Seat {
            runtime: worker.runtime.clone(),
            connections: Arc::clone(&worker.connections),
        })
    }

    /// Ends them; what still runs there is cut off.
    pub(crate) fn stop(self) {
        let threads: Vec<_> = self.0.into_iter().map(|worker| worker.thread).collect();
        for thread in threads {
            // A panic of its own has been told.
            let _ = thread.join();
        }
    }
}

impl Worker {
    fn start(number: usize) -> io::Result<Worker> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_park(telemetry::write_lines)
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let handle = runtime.handle().clone();
        let thread = thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || {
                forward::enter_worker(number);
                telemetry::gather_lines();
                let _ = runtime.block_on(stopped);
                drop(runtime);
                telemetry::write_lines();
            })?;
        Ok(Worker {
            runtime: handle,
            connections: Arc::default(),
            _stop: stop,
            thread,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_spread_evenly_and_seats_come_back() {
        let workers = Workers::start().unwrap();
        let seats: Vec<_> = (0..4 * forward::workers())
            .filter_map(|_| workers.seat())
            .collect();
        let loads = |workers: &Workers| -> Vec<usize> {
            let all = workers.0.iter();
            all.map(|worker| worker.connections.load(Ordering::Relaxed))
                .collect()
        };
        assert_eq!(loads(&workers), vec![4; forward::workers()]);
        drop(seats);
        assert_eq!(loads(&workers), vec![0; forward::workers()]);
        workers.stop();
    }
}
