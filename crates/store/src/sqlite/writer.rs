//! The one thread that writes the store. SQLite allows one writer at a time, whatever the connection. Callers hand their writes to
//! this thread as jobs, and the thread writes the journal's rows between the jobs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::connection::WriteConnection;
use super::erasure::Pages;
use super::journal::JournalWriter;
use crate::StoreError;

/// Time that a job waits to begin. Together with the wait for another process's lock and the wait of a change for the journal, a
/// store that stalls rejects a change of an access within six seconds.
pub(crate) const BEGIN_MAX: Duration = Duration::from_secs(2);

/// Time that the store's shutdown waits for the thread, which finishes its work and copies the write-ahead log to the file.
const END_MAX: Duration = Duration::from_secs(5);

/// Pause after a panic of the journal, so that one that repeats does not fill the log.
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(1);

/// Maximum number of waiting jobs. Each has its own caller, which waits no longer than [`BEGIN_MAX`].
const JOBS_MAX: usize = 1024;

/// A write job, which sends the answer to its caller itself.
type WriteJob = Box<dyn FnOnce(&mut WriteConnection) + Send>;

/// The handle to the thread. The thread ends when the handle is dropped.
pub(crate) struct StoreWriter {
    jobs: Mutex<Option<SyncSender<WriteJob>>>,
    thread: Thread,
    /// A channel that closes when the thread ends.
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

impl StoreWriter {
    /// Starts the thread. The thread holds `pages` until its connection is closed.
    ///
    /// # Errors
    /// When the system can't start a thread.
    pub(crate) fn start(
        connection: WriteConnection,
        journal: JournalWriter,
        pages: Arc<Pages>,
    ) -> Result<StoreWriter, StoreError> {
        let (jobs, received) = sync_channel(JOBS_MAX);
        let (ends, ended) = oneshot::channel();
        let work = move || {
            work(&received, connection, journal);
            drop(pages);
            drop(ends);
        };
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(work)?;
        Ok(StoreWriter {
            jobs: Mutex::new(Some(jobs)),
            thread: thread.thread().clone(),
            ended: Mutex::new(Some(ended)),
        })
    }

    /// Runs `work` on the thread. If the caller gives up before `work` begins, `work` is not run; if the caller gives up later,
    /// `work` is finished.
    ///
    /// # Errors
    /// The error of `work`, or an error because it did not begin in time. In that case it never begins.
    pub(crate) async fn run<T, E>(
        &self,
        work: impl FnOnce(&mut WriteConnection) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (begins, begun) = oneshot::channel();
        let (answers, answer) = oneshot::channel();
        self.hand_over(Box::new(move |connection| {
            if begins.send(()).is_ok() {
                // A send error is ignored, because a caller that has given up needs no answer.
                let _ = answers.send(work(connection));
            }
        }))?;
        wait_for(begun).await?;
        let broken_off = |_| StoreError::new("the write was aborted");
        answer.await.map_err(broken_off)?
    }

    fn hand_over(&self, job: WriteJob) -> Result<(), StoreError> {
        let sent = match &*self.jobs.lock() {
            Some(jobs) => jobs.try_send(job),
            None => Err(TrySendError::Disconnected(job)),
        };
        sent.map_err(|error| match error {
            TrySendError::Full(_) => StoreError::new("too many writes wait"),
            TrySendError::Disconnected(_) => closed(),
        })?;
        self.thread.unpark();
        Ok(())
    }

    /// Ends the thread after the waiting jobs.
    pub(crate) async fn close(&self) {
        self.end();
        let ended = self.ended.lock().take();
        if let Some(ended) = ended {
            let _ = timeout(END_MAX, ended).await;
        }
    }

    fn end(&self) {
        drop(self.jobs.lock().take());
        self.thread.unpark();
    }
}

impl Drop for StoreWriter {
    fn drop(&mut self) {
        self.end();
    }
}

fn closed() -> StoreError {
    StoreError::new("it is closed")
}

/// Waits until a job has begun. If this wait gives up, the job never begins.
async fn wait_for(mut begun: oneshot::Receiver<()>) -> Result<(), StoreError> {
    if let Ok(begun) = timeout(BEGIN_MAX, &mut begun).await {
        return begun.map_err(|_| closed());
    }
    begun.close();
    // The job may have begun at this very moment.
    begun.try_recv().map_err(|_| timed_out())
}

pub(crate) fn timed_out() -> StoreError {
    StoreError::new("another write takes too long")
}

/// Runs jobs and serves the journal in turn until the channel of jobs is closed.
fn work(jobs: &Receiver<WriteJob>, mut connection: WriteConnection, mut journal: JournalWriter) {
    journal.begin();
    loop {
        let job = jobs.try_recv();
        let was_idle = job.is_err();
        match job {
            Ok(job) => {
                journal.health().begins(Instant::now());
                // A panic is a defect of this one job, whose caller gets an error because the answer is missing.
                let _ = catch_unwind(AssertUnwindSafe(|| job(&mut connection)));
                journal.health().rests();
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return,
        }
        // A panic is logged. The rows that were being written are lost, but the thread must write the next ones.
        let served = catch_unwind(AssertUnwindSafe(|| journal.serve(&mut connection)));
        let due = served.unwrap_or_else(|_| Some(Instant::now() + PAUSE_AFTER_PANIC));
        match due {
            _ if !was_idle => {}
            Some(due) => thread::park_timeout(due.saturating_duration_since(Instant::now())),
            None => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests;
