//! The threads that serve connections, each with its own runtime. A connection and its tasks stay on one thread, which costs a
//! fifth less than tasks that move between threads.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// How long a worker waits at its end for a blocked thread, such as a name lookup that the system does not abandon. The process
/// must not wait longer, because it still has data to save afterwards.
const BLOCKED_GRACE: Duration = Duration::from_secs(1);

/// A fixed number of threads that serve connections.
pub struct Workers(Vec<Worker>);

struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
    /// The sender that ends the thread when it is dropped.
    _stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// Counts a connection at its worker until the guard is dropped.
pub(crate) struct WorkerLoadGuard {
    /// The runtime of the worker.
    pub(crate) runtime: Handle,
    connections: Arc<AtomicUsize>,
}

impl Workers {
    /// Starts `count` workers. Each worker calls `on_start` with its number when it starts, and `on_park` before it sleeps and when
    /// it ends.
    ///
    /// # Errors
    /// When the system has no thread or no file descriptor left.
    pub fn start(count: usize, on_start: fn(usize), on_park: fn()) -> io::Result<Workers> {
        (0..count)
            .map(|number| Worker::start(number, on_start, on_park))
            .collect::<Result<_, _>>()
            .map(Workers)
    }

    /// Counts a connection at the worker with the fewest connections.
    pub(crate) fn least_loaded(&self) -> Option<WorkerLoadGuard> {
        let load = |worker: &&Worker| worker.connections.load(Ordering::Relaxed);
        let worker = self.0.iter().min_by_key(load)?;
        worker.connections.fetch_add(1, Ordering::Relaxed);
        Some(WorkerLoadGuard {
            runtime: worker.runtime.clone(),
            connections: Arc::clone(&worker.connections),
        })
    }

    /// Ends the threads and the connections that still run on them. Takes little more than a second, even if a thread is blocked.
    pub fn stop(self) {
        let threads: Vec<_> = self.0.into_iter().map(|worker| worker.thread).collect();
        for thread in threads {
            // The panic hook has already logged a panic.
            let _ = thread.join();
        }
    }
}

impl Worker {
    fn start(number: usize, on_start: fn(usize), on_park: fn()) -> io::Result<Worker> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_park(on_park)
            .build()?;
        let (stop, stopped) = oneshot::channel();
        let handle = runtime.handle().clone();
        let thread = thread::Builder::new()
            .name(format!("worker-{number}"))
            .spawn(move || {
                on_start(number);
                let _ = runtime.block_on(stopped);
                runtime.shutdown_timeout(BLOCKED_GRACE);
                on_park();
            })?;
        Ok(Worker {
            runtime: handle,
            connections: Arc::default(),
            _stop: stop,
            thread,
        })
    }
}

impl Drop for WorkerLoadGuard {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const WORKERS: usize = 3;

    #[test]
    fn connections_are_spread_evenly_and_guards_release_their_load() {
        let workers = Workers::start(WORKERS, |_| {}, || {}).unwrap();
        let guards: Vec<_> = (0..4 * WORKERS)
            .filter_map(|_| workers.least_loaded())
            .collect();
        let loads = |workers: &Workers| -> Vec<usize> {
            let all = workers.0.iter();
            all.map(|worker| worker.connections.load(Ordering::Relaxed))
                .collect()
        };
        assert_eq!(loads(&workers), vec![4; WORKERS]);
        drop(guards);
        assert_eq!(loads(&workers), vec![0; WORKERS]);
        workers.stop();
    }

    /// Maximum wait for an end that takes about a second. It allows for a busy machine and measures nothing.
    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn stopping_workers_does_not_wait_for_a_hanging_lookup() {
        let workers = Workers::start(1, |_| {}, || {}).unwrap();
        let runtime = workers.least_loaded().unwrap().runtime.clone();
        let (_never, waits) = mpsc::channel::<()>();
        let (begins, began) = mpsc::channel();
        runtime.spawn_blocking(move || {
            begins.send(()).unwrap();
            waits.recv()
        });
        began.recv().unwrap();
        let (ends, ended) = mpsc::channel();
        thread::spawn(move || {
            workers.stop();
            ends.send(())
        });
        assert_eq!(ended.recv_timeout(PATIENCE), Ok(()));
    }
}
