//! The journal's interface for requests: it takes rows, and only makes callers wait that need the row to be on the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::class::{ByClass, CallerClass};
use super::counted::{CountKey, CountResult, CountedCalls};
use super::entry::{CountUpdate, JournalEntry, Opening};
use super::health::WriterHealth;
use super::intent::Intent;
use super::minute::MinuteCounts;
use super::parts::JournalPart;
use super::queue::Queue;
use super::row::JournalRow;
use crate::{Claim, Obstacle, StoreError};

/// Maximum time that a caller waits until its row, or all rows before its flush, are on the disk. A disk normally takes
/// milliseconds. If it takes seconds, nothing is sent, and the caller learns early enough to try again.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// Maximum time that the shutdown waits until rows are on the disk: one stall of the store, plus the time to write a full queue.
const STOP_MAX: Duration = Duration::from_secs(10);

/// The journal of one gateway. It takes rows without waiting, and its writer writes them.
pub struct Journal {
    pub(crate) queue: Arc<Queue>,
    pub(crate) counts: MinuteCounts,
    /// The health of the writer of each part. A thread that writes all parts uses the entry of [`JournalPart::Rows`].
    health: [WriterHealth; JournalPart::ALL.len()],
    /// True if the store's file is not at its path any more, so that new data would be lost when the process ends.
    is_gone: AtomicBool,
    /// The health of the heartbeat to a shared store, which shows that the store answers even while nothing is written.
    pub(crate) heartbeat_health: WriterHealth,
    pub(crate) dropped: ByClass,
    /// Number of rows that the store rejected.
    pub(crate) refused: ByClass,
    /// Number of failovers of the database to another server.
    pub(crate) failovers: AtomicU64,
    /// Number of rows that were cleared for their space before their retention was over.
    pub(crate) cleared_early: ByClass,
    /// The row before which only rows remain that are cleared last.
    pub(crate) plain_cleared_to: AtomicI64,
}

/// The result of opening a row.
#[must_use]
pub enum OpenResult {
    /// The row is on the disk, and the key is claimed.
    Intent(Intent),
    /// The key can't be claimed; the row was not written.
    Obstacle(Obstacle),
}

impl Journal {
    /// Makes a journal that takes no rows until it is started.
    pub(crate) fn new() -> Journal {
        Journal {
            queue: Arc::new(Queue::new()),
            counts: MinuteCounts::default(),
            health: JournalPart::ALL.map(|_| WriterHealth::new()),
            is_gone: AtomicBool::new(false),
            heartbeat_health: WriterHealth::new(),
            dropped: ByClass::default(),
            refused: ByClass::default(),
            failovers: AtomicU64::new(0),
            cleared_early: ByClass::default(),
            plain_cleared_to: AtomicI64::new(0),
        }
    }

    /// Takes a complete row. Never waits: if the queue has no room for the row, the row is dropped and counted.
    pub fn add(&self, row: JournalRow) {
        if self.queue.push(JournalEntry::Row(Box::new(row))).is_err() {
            self.dropped.add(CallerClass::Known, 1);
        }
    }

    /// Takes a row whose outcome is still to come, with the key that it claims, and waits until both are on the disk. Nothing that
    /// authorizes the send was read before `since`.
    ///
    /// # Errors
    /// When the queue has no room for the row, or the store can't be written or takes too long, or other processes may have changed
    /// it since `since` without waiting for this one. The row is then not in the journal or will soon be withdrawn from it, and the
    /// send that the row describes must not begin.
    pub async fn open(
        &self,
        row: JournalRow,
        claim: Option<Claim>,
        since: Instant,
    ) -> Result<OpenResult, StoreError> {
        self.check_place()?;
        let (reply, written) = oneshot::channel();
        let pushed = self.queue.push(JournalEntry::Open(Box::new(Opening {
            row: JournalRow { open: true, ..row },
            claim,
            since,
            obstacle: None,
            reply,
            runtime: Handle::current(),
        })));
        pushed.map_err(|_| StoreError::new("the journal has no room in memory"))?;
        let mut awaited = AwaitedRow {
            queue: &self.queue,
            written,
        };
        let opened = in_time(&mut awaited.written).await?;
        Ok(match opened {
            Ok(id) => OpenResult::Intent(Intent::new(Arc::clone(&self.queue), id)),
            Err(obstacle) => OpenResult::Obstacle(obstacle),
        })
    }

    /// Waits until all rows and counts that were taken before are on the disk.
    ///
    /// # Errors
    /// When the store can't be written or takes too long.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.save_counts();
        self.flush_queue().await?;
        // A count that was already being written when this call began may have grown in the meantime.
        if self.save_counts() > 0 {
            self.flush_queue().await?;
        }
        Ok(())
    }

    async fn flush_queue(&self) -> Result<(), StoreError> {
        let (reply, mut written) = oneshot::channel();
        let pushed = self.queue.push(JournalEntry::Flush(reply));
        pushed.map_err(|_| StoreError::new("the journal is closed"))?;
        in_time(&mut written).await
    }

    /// Writes the remaining rows and stops the journal; gives up if the store can't be written.
    pub async fn stop(&self) {
        // The flush is for counts that were being written and may have grown. Rows are written below in any case.
        if self.trouble().is_none() {
            let _ = self.flush().await;
        }
        self.save_counts();
        let (drained, written) = oneshot::channel();
        if self.queue.close(drained) && timeout(STOP_MAX, written).await.is_err() {
            tracing::error!(rows = self.queued(), "journal rows were lost at shutdown");
        }
    }

    /// Notes a call that may be counted together with others, by its time in milliseconds since 1970. For the first call of a key,
    /// the caller passes the row to [`Journal::begin_count`].
    pub fn note(&self, key: CountKey, at_ms: i64) -> CountResult {
        self.counts.note(key, at_ms)
    }

    /// Takes the row of the first call of a key; its count grows with further calls.
    pub fn begin_count(&self, counted: &Arc<CountedCalls>, row: JournalRow) {
        counted.set_row(row);
        if counted.is_due() {
            self.add_count(counted);
        }
    }

    /// Queues all counts that have grown since the last call, and returns their number. Call it every few seconds, because a crash
    /// loses the counts since the last call.
    pub fn save_counts(&self) -> usize {
        let due = self.counts.due();
        let count = due.len();
        due.iter().for_each(|counted| self.add_count(counted));
        count
    }

    /// Takes the counts of minutes that have ended by this time, in milliseconds since 1970, for their log lines.
    pub fn take_ended_counts(&self, now_ms: i64) -> Vec<Arc<CountedCalls>> {
        self.counts.take_ended(now_ms)
    }

    fn add_count(&self, counted: &Arc<CountedCalls>) {
        let update = CountUpdate::of(Arc::clone(counted));
        let entry = JournalEntry::Counted(Box::new(update));
        if self.queue.push(entry).is_err() {
            counted.dropped();
            self.dropped.add(counted.key().class(), 1);
        }
    }

    /// Returns the reason why the store currently can't be written, as far as the journal has noticed; `None` if it can.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        if let Err(error) = self.check_place() {
            return Some(error.to_string());
        }
        let now = Instant::now();
        let mut all = self.health.iter().chain([&self.heartbeat_health]);
        all.find_map(|health| health.trouble(now))
    }

    /// Checks whether the store's file was at its path at the last check.
    ///
    /// # Errors
    /// When the file was not there. Nothing that must be on the disk may begin then.
    pub(crate) fn check_place(&self) -> Result<(), StoreError> {
        if self.is_gone.load(Ordering::Relaxed) {
            return Err(StoreError::new("its file is no longer at its path"));
        }
        Ok(())
    }

    /// Records whether the store's file is missing from its path, and returns whether this state is new.
    pub(crate) fn note_file(&self, is_gone: bool) -> bool {
        self.is_gone.swap(is_gone, Ordering::Relaxed) != is_gone
    }

    /// Returns the health of a part's writer.
    pub(crate) fn health(&self, part: JournalPart) -> &WriterHealth {
        &self.health[part as usize]
    }

    /// Returns the number of rows that are not on the disk yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.rows()
    }

    /// Returns the number of rows that were dropped since the start because the queue had no room.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.sum()
    }

    /// Returns the number of dropped rows of one class.
    #[must_use]
    pub fn dropped_of(&self, class: CallerClass) -> u64 {
        self.dropped.of(class)
    }

    /// Returns the number of database failovers after which sends were put back into the new primary.
    #[must_use]
    pub fn failovers(&self) -> u64 {
        self.failovers.load(Ordering::Relaxed)
    }

    /// Returns the number of rows of one class that the store has rejected since the start.
    #[must_use]
    pub fn refused_of(&self, class: CallerClass) -> u64 {
        self.refused.of(class)
    }

    /// Returns the number of rows of one class that were cleared since the start for their space, before their retention was over.
    #[must_use]
    pub fn cleared_early(&self, class: CallerClass) -> u64 {
        self.cleared_early.of(class)
    }

    #[cfg(test)]
    pub(crate) fn queued_bytes(&self) -> usize {
        self.queue.bytes()
    }
}

/// A row that a caller waits for. If the caller gives up at the moment in which the row is written, the row is withdrawn.
struct AwaitedRow<'j> {
    queue: &'j Queue,
    written: oneshot::Receiver<Result<Result<i64, Obstacle>, StoreError>>,
}

impl Drop for AwaitedRow<'_> {
    fn drop(&mut self) {
        self.written.close();
        if let Ok(Ok(Ok(id))) = self.written.try_recv() {
            self.queue.withdraw(id);
        }
    }
}

/// Waits for the writer's reply, with a time limit.
async fn in_time<T>(
    written: &mut oneshot::Receiver<Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match timeout(WAIT_MAX, written).await {
        Ok(Ok(written)) => written,
        Ok(Err(_)) => Err(StoreError::new("the journal is closed")),
        Err(_) => Err(StoreError::new("the journal was not written in time")),
    }
}
