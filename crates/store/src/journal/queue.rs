//! The journal's queue: bounded in rows and in bytes. A request that need not be on the disk never waits for it. What unknown
//! callers cause waits in a room of its own, and sends go first.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use tokio::sync::oneshot;

use super::class::CallerClass;
use super::entry::{JournalEntry, Lane, OUTCOME_BYTES};
use super::parts::QueueWriter;
use super::queued::QueuedEntries;

/// Most rows written at once: some 10 ms of the writer, so that a change of an access waits no longer. Where
/// many accesses call, a page of an index is written once for all its rows of a batch.
pub(crate) const BATCH_ROWS_MAX: usize = 2048;

/// The queue of one writer. Closed until the journal is started.
pub(crate) struct Queue {
    waiting: Mutex<QueuedEntries>,
    /// What writes: woken when the first entry comes, when a batch is full, when somebody waits, and when the queue closes.
    pub(super) writer: OnceLock<QueueWriter>,
}

/// What the writer has to know before it writes.
pub(crate) struct PendingWork {
    /// Whether there is something to write.
    pub(crate) has_entries: bool,
    /// Whether it can't wait for more.
    pub(crate) presses: bool,
}

impl Queue {
    pub(crate) fn new() -> Queue {
        Queue {
            waiting: Mutex::new(QueuedEntries {
                closed: true,
                ..QueuedEntries::default()
            }),
            writer: OnceLock::new(),
        }
    }

    /// Has this thread woken when there is something to write.
    pub(crate) fn wake_this_thread(&self) {
        // There is one writer.
        let _ = self.writer.set(QueueWriter::Thread(thread::current()));
    }

    /// Takes entries from now on.
    pub(crate) fn open(&self) {
        self.waiting().closed = false;
    }

    /// Takes an entry if there is room for it, else returns it.
    pub(crate) fn push(&self, entry: JournalEntry) -> Result<(), JournalEntry> {
        let mut waiting = self.waiting();
        // An open row needs room for its outcome as well, which must find a place whatever happens meanwhile.
        let (rows, bytes) = match &entry {
            JournalEntry::Row(_) | JournalEntry::Counted(_) => (1, entry.weight()),
            JournalEntry::Open(opening) => (2, opening.row.weight() + OUTCOME_BYTES),
            JournalEntry::Close(..) | JournalEntry::Withdraw(_) | JournalEntry::Flush(_) => (0, 0),
        };
        let class = entry.class();
        let full = !waiting.has_room(class, rows, bytes);
        let ends =
            waiting.closed && !matches!(entry, JournalEntry::Close(..) | JournalEntry::Withdraw(_));
        if ends || (rows > 0 && full) {
            return Err(entry);
        }
        let room = waiting.room(class);
        room.rows += rows;
        room.bytes += bytes;
        let is_urgent = entry.is_urgent();
        waiting.is_urgent |= is_urgent;
        let lane = entry.lane();
        waiting.push_back(entry);
        let (known, all) = waiting.len();
        let is_first = all == 1 || lane.is_some_and(|lane| waiting.lanes[lane as usize].len() == 1);
        drop(waiting);
        let is_full = class == CallerClass::Known && known == BATCH_ROWS_MAX;
        if let Some(writer) = self.writer.get() {
            match writer {
                QueueWriter::Thread(thread) if is_urgent || all == 1 || is_full => thread.unpark(),
                QueueWriter::Parts(parts) if is_urgent || is_first || is_full => parts.wake(lane),
                QueueWriter::Thread(_) | QueueWriter::Parts(_) => {}
            }
        }
        Ok(())
    }

    /// The next batch, without the openings that nobody waits for any more. It keeps its room until [`Queue::settle`].
    pub(crate) fn take(&self) -> Vec<JournalEntry> {
        let mut waiting = self.waiting();
        let mut taken = waiting.next_of(&Lane::ALL, BATCH_ROWS_MAX);
        taken.extend(waiting.done_flushes());
        waiting.is_urgent = waiting.is_awaited();
        waiting.without_given_up(taken)
    }

    /// Puts entries back to where they came from, except those that can fail, which it returns together with all others like
    /// them that wait. What is left is not urgent any more: the writer tries again after a pause.
    pub(crate) fn put_back(&self, entries: Vec<JournalEntry>) -> Vec<JournalEntry> {
        self.waiting().put_back(entries, &Lane::ALL)
    }

    /// Frees the room of entries that have been written.
    pub(crate) fn settle(&self, entries: &[JournalEntry]) {
        let mut waiting = self.waiting();
        for entry in entries {
            let room = waiting.room(entry.class());
            room.rows -= usize::from(!matches!(entry, JournalEntry::Flush(_)));
            room.bytes -= entry.weight();
        }
    }

    /// Has an open row taken back, in the place that was kept for its outcome.
    pub(crate) fn withdraw(&self, id: i64) {
        // The queue always has a place for it, even when it is closed.
        let _ = self.push(JournalEntry::Withdraw(id));
    }

    /// Frees the room of an outcome that will not come.
    pub(crate) fn forgo_outcome(&self) {
        let mut waiting = self.waiting();
        let room = waiting.room(CallerClass::Known);
        room.rows -= 1;
        room.bytes -= OUTCOME_BYTES;
    }

    /// Takes no more rows; outcomes of open ones still find their places. `drained` is dropped when all is written. Returns
    /// whether the queue was open.
    pub(crate) fn close(&self, drained: oneshot::Sender<()>) -> bool {
        let mut waiting = self.waiting();
        if waiting.closed {
            return false;
        }
        (waiting.closed, waiting.is_urgent) = (true, true);
        waiting.drained = Some(drained);
        drop(waiting);
        match self.writer.get() {
            Some(QueueWriter::Thread(thread)) => thread.unpark(),
            Some(QueueWriter::Parts(parts)) => parts.wake_all(),
            None => {}
        }
        true
    }

    /// Closes the queue because its writer has ended: nothing waits for it to be drained.
    pub(crate) fn abandon(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        waiting.drained = None;
    }

    /// What there is to write. A closed queue that is empty is drained.
    pub(crate) fn state(&self) -> PendingWork {
        let mut waiting = self.waiting();
        let (known, all) = waiting.len();
        if all == 0 {
            waiting.drained = None;
        }
        PendingWork {
            has_entries: all > 0,
            presses: known >= BATCH_ROWS_MAX || waiting.is_urgent,
        }
    }

    /// Rows that are not on the disk yet, and places that are kept for outcomes.
    pub(crate) fn rows(&self) -> usize {
        self.waiting().rooms.iter().map(|room| room.rows).sum()
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.waiting().rooms.iter().map(|room| room.bytes).sum()
    }

    pub(super) fn waiting(&self) -> MutexGuard<'_, QueuedEntries> {
        // Nothing between two changes of it can panic half way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
