//! The journal as requests see it: it takes rows without making anybody wait who need not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::class::{ByClass, CallerClass};
use super::counted::{CountKey, CountedCalls, Noted};
use super::entry::{CountUpdate, JournalEntry, Opening};
use super::health::WriterHealth;
use super::intent::Intent;
use super::minute::MinuteCounts;
use super::parts::JournalPart;
use super::queue::Queue;
use super::row::JournalRow;
use crate::{Claim, Obstacle, StoreError};

/// Longest that a caller waits until a row is on the disk, or for all rows before theirs to be. A disk takes milliseconds; with
/// one that takes seconds nothing is sent, and the caller knows soon enough to try again.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// Longest that the end of the process waits for rows to get to the disk: one stall of the store, and time to write all
/// that may wait.
const STOP_MAX: Duration = Duration::from_secs(10);

/// The journal of one gateway: takes rows without waiting, and has them written.
pub struct Journal {
    pub(crate) queue: Arc<Queue>,
    pub(crate) counts: MinuteCounts,
    /// Of the writers of each part; a thread that writes all has that of [`JournalPart::Rows`].
    health: [WriterHealth; JournalPart::ALL.len()],
    /// Whether the store's file is not at its place any more: what is written would be gone with the process.
    is_gone: AtomicBool,
    /// Of what a store is asked that others share: it is there all the while, although nothing may be written.
    pub(crate) heard: WriterHealth,
    pub(crate) dropped: ByClass,
    /// Rows that the store does not take.
    pub(crate) refused: ByClass,
    /// How often another server took the place of the database's.
    pub(crate) failovers: AtomicU64,
    /// Rows that were cleared because of their room before their time was over.
    pub(crate) cleared_early: ByClass,
    /// Before this row nothing is left but what is cleared last.
    pub(crate) plain_cleared_to: AtomicI64,
}

/// What came of opening a row.
#[must_use]
pub enum Opened {
    /// It is on the disk, and the key is claimed.
    Intent(Intent),
    /// The key can't be claimed; the row was not written.
    Obstacle(Obstacle),
}

impl Journal {
    /// A journal that takes nothing until it is started.
    pub(crate) fn new() -> Journal {
        Journal {
            queue: Arc::new(Queue::new()),
            counts: MinuteCounts::default(),
            health: JournalPart::ALL.map(|_| WriterHealth::new()),
            is_gone: AtomicBool::new(false),
            heard: WriterHealth::new(),
            dropped: ByClass::default(),
            refused: ByClass::default(),
            failovers: AtomicU64::new(0),
            cleared_early: ByClass::default(),
            plain_cleared_to: AtomicI64::new(0),
        }
    }

    /// Takes a row that is whole. Never waits: without room for it, it is dropped and counted.
    pub fn add(&self, row: JournalRow) {
        if self.queue.push(JournalEntry::Row(Box::new(row))).is_err() {
            self.dropped.add(CallerClass::Known, 1);
        }
    }

    /// Takes a row whose outcome is still to come, with the key that it claims, and waits until both are on the disk.
    ///
    /// # Errors
    /// When there is no room for it, the store can't be written or takes too long. The row is not in the journal then, or soon
    /// not any more, and what it speaks of must not be begun.
    pub async fn open(&self, row: JournalRow, claim: Option<Claim>) -> Result<Opened, StoreError> {
        self.check_place()?;
        let (reply, written) = oneshot::channel();
        let pushed = self.queue.push(JournalEntry::Open(Box::new(Opening {
            row: JournalRow { open: true, ..row },
            claim,
            obstacle: None,
            reply,
            runtime: Handle::current(),
        })));
        pushed.map_err(|_| StoreError::new("the journal has no room"))?;
        let mut awaited = AwaitedRow {
            queue: &self.queue,
            written,
        };
        let opened = in_time(&mut awaited.written).await?;
        Ok(match opened {
            Ok(id) => Opened::Intent(Intent::new(Arc::clone(&self.queue), id)),
            Err(obstacle) => Opened::Obstacle(obstacle),
        })
    }

    /// Waits until all that was taken before is on the disk.
    ///
    /// # Errors
    /// When the store can't be written or takes too long.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.save_counts();
        self.flush_queue().await?;
        // A count that was being written may have grown before this began.
        if self.save_counts() > 0 {
            self.flush_queue().await?;
        }
        Ok(())
    }

    async fn flush_queue(&self) -> Result<(), StoreError> {
        let (reply, mut written) = oneshot::channel();
        let pushed = self.queue.push(JournalEntry::Flush(reply));
        pushed.map_err(|_| StoreError::new("the journal has ended"))?;
        in_time(&mut written).await
    }

    /// Writes what is left and ends; gives up on a store that can't be written.
    pub async fn stop(&self) {
        // Counts that were being written may have grown. Rows are written below in any case.
        if self.trouble().is_none() {
            let _ = self.flush().await;
        }
        self.save_counts();
        let (drained, written) = oneshot::channel();
        if self.queue.close(drained) && timeout(STOP_MAX, written).await.is_err() {
            tracing::error!(rows = self.queued(), "journal rows were lost at the end");
        }
    }

    /// Notes a call that may be counted together with others, by its time in milliseconds since 1970. For the first of its
    /// key, [`Journal::begin_count`] takes the row.
    pub fn note(&self, key: CountKey, at_ms: i64) -> Noted {
        self.counts.note(key, at_ms)
    }

    /// Takes the row of the first call of a key; its count grows by itself.
    pub fn begin_count(&self, counted: &Arc<CountedCalls>, row: JournalRow) {
        counted.set_row(row);
        if counted.is_due() {
            self.add_count(counted);
        }
    }

    /// Has what was counted since the last time written, and returns how many counts that are. Call it every few seconds; a
    /// crash loses no more than that.
    pub fn save_counts(&self) -> usize {
        let due = self.counts.due();
        let count = due.len();
        due.iter().for_each(|counted| self.add_count(counted));
        count
    }

    /// Takes the counts of minutes that are over at this time, in milliseconds since 1970, for their lines in the log.
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

    /// Why the store can't be written right now, as far as the journal has noticed; `None` when it can.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        if let Err(error) = self.check_place() {
            return Some(error.to_string());
        }
        let now = Instant::now();
        let mut all = self.health.iter().chain([&self.heard]);
        all.find_map(|health| health.trouble(now))
    }

    /// Checks whether the store's file was at its place when it was last looked for.
    ///
    /// # Errors
    /// When it was not. Nothing may be begun that has to be on the disk.
    pub(crate) fn check_place(&self) -> Result<(), StoreError> {
        if self.is_gone.load(Ordering::Relaxed) {
            return Err(StoreError::new("its file is not at its place any more"));
        }
        Ok(())
    }

    /// Notes whether the store's file is not at its place, and returns whether that is new.
    pub(crate) fn note_place(&self, is_gone: bool) -> bool {
        self.is_gone.swap(is_gone, Ordering::Relaxed) != is_gone
    }

    /// What is known of the writes of a part.
    pub(crate) fn health(&self, part: JournalPart) -> &WriterHealth {
        &self.health[part as usize]
    }

    /// Rows that are not on the disk yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.rows()
    }

    /// Rows for which there was no room since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.sum()
    }

    /// Those of them of one class.
    #[must_use]
    pub fn dropped_of(&self, class: CallerClass) -> u64 {
        self.dropped.of(class)
    }

    /// How often another server took the place of the database's, as far as sends were put back there.
    #[must_use]
    pub fn failovers(&self) -> u64 {
        self.failovers.load(Ordering::Relaxed)
    }

    /// Rows of one class that the store has refused since the start.
    #[must_use]
    pub fn refused_of(&self, class: CallerClass) -> u64 {
        self.refused.of(class)
    }

    /// Rows of one class that were cleared since the start because of their room, before their retention was over.
    #[must_use]
    pub fn cleared_early(&self, class: CallerClass) -> u64 {
        self.cleared_early.of(class)
    }

    #[cfg(test)]
    pub(crate) fn queued_bytes(&self) -> usize {
        self.queue.bytes()
    }
}

/// A row that somebody waits for. If they give up in the moment in which it is written, it is taken back.
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

/// Waits for the writer's reply.
async fn in_time<T>(
    written: &mut oneshot::Receiver<Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match timeout(WAIT_MAX, written).await {
        Ok(Ok(written)) => written,
        Ok(Err(_)) => Err(StoreError::new("the journal has ended")),
        Err(_) => Err(StoreError::new("the journal was not written in time")),
    }
}
