//! The journal's queue, bounded in rows and in bytes. A request never waits for the queue unless its row must be on the disk. Rows
//! of unknown callers wait in a separate, bounded space, and sends are written first.

use std::sync::OnceLock;
use std::thread;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::class::CallerClass;
use super::entry::{JournalEntry, Lane, OUTCOME_BYTES};
use super::parts::QueueWriter;
use super::queued::QueuedEntries;

/// Maximum number of rows in a batch. A batch takes the writer some 10 ms, so that a change of an access waits no longer than that.
/// If many accesses call, a large batch writes each index page once for all of its rows.
pub(crate) const BATCH_ROWS_MAX: usize = 2048;

/// The queue of one writer. It is closed until the journal is started.
pub(crate) struct Queue {
    pub(super) waiting: Mutex<QueuedEntries>,
    /// The writer, which is woken by the first entry, by a full batch, by an entry whose caller waits, and by the closing of the
    /// queue.
    pub(super) writer: OnceLock<QueueWriter>,
}

/// The state of the queue that the writer checks before it writes.
pub(crate) struct PendingWork {
    /// True if there is something to write.
    pub(crate) has_entries: bool,
    /// True if the writer must write now instead of waiting for more entries.
    pub(crate) is_urgent: bool,
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

    /// Makes the queue wake the current thread when there is something to write.
    pub(crate) fn wake_this_thread(&self) {
        // The result is ignored because a queue has only one writer.
        let _ = self.writer.set(QueueWriter::Thread(thread::current()));
    }

    /// Opens the queue, so that it takes entries.
    pub(crate) fn open(&self) {
        self.waiting.lock().closed = false;
    }

    /// Takes an entry if there is room for it; otherwise returns the entry.
    pub(crate) fn push(&self, entry: JournalEntry) -> Result<(), JournalEntry> {
        let mut waiting = self.waiting.lock();
        // An open row also needs room for its outcome, which must find a place under all circumstances.
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

    /// Takes the next batch, without openings whose callers have given up. The batch keeps its room until [`Queue::settle`].
    pub(crate) fn take(&self) -> Vec<JournalEntry> {
        let mut waiting = self.waiting.lock();
        let mut taken = waiting.next_in_lanes(&Lane::ALL, BATCH_ROWS_MAX);
        taken.extend(waiting.done_flushes());
        waiting.is_urgent = waiting.is_awaited();
        waiting.without_abandoned(taken)
    }

    /// Puts entries back into their lanes, except openings and flushes. Returns these together with all waiting openings and
    /// flushes, so that their callers get an error. The remaining entries are not urgent any more, because the writer tries again
    /// after a pause.
    pub(crate) fn put_back(&self, entries: Vec<JournalEntry>) -> Vec<JournalEntry> {
        self.waiting.lock().put_back(entries, &Lane::ALL)
    }

    /// Frees the room of entries that have been written.
    pub(crate) fn settle(&self, entries: &[JournalEntry]) {
        let mut waiting = self.waiting.lock();
        for entry in entries {
            let room = waiting.room(entry.class());
            room.rows -= usize::from(!matches!(entry, JournalEntry::Flush(_)));
            room.bytes -= entry.weight();
        }
    }

    /// Queues the withdrawal of an open row, in the place that was reserved for its outcome.
    pub(crate) fn withdraw(&self, id: i64) {
        // The queue always has a place for the withdrawal, even when it is closed.
        let _ = self.push(JournalEntry::Withdraw(id));
    }

    /// Frees the place of an outcome that will not come.
    pub(crate) fn release_outcome(&self) {
        let mut waiting = self.waiting.lock();
        let room = waiting.room(CallerClass::Known);
        room.rows -= 1;
        room.bytes -= OUTCOME_BYTES;
    }

    /// Closes the queue for new rows; outcomes of open rows are still taken. `drained` is dropped when everything is written.
    /// Returns whether the queue was open.
    pub(crate) fn close(&self, drained: oneshot::Sender<()>) -> bool {
        let mut waiting = self.waiting.lock();
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

    /// Closes the queue because its writer has ended. Drops `drained`, so that the shutdown does not wait for it.
    pub(crate) fn abandon(&self) {
        let mut waiting = self.waiting.lock();
        waiting.closed = true;
        waiting.drained = None;
    }

    /// Returns the pending work. A closed and empty queue then counts as drained.
    pub(crate) fn state(&self) -> PendingWork {
        let mut waiting = self.waiting.lock();
        let (known, all) = waiting.len();
        if all == 0 {
            waiting.drained = None;
        }
        PendingWork {
            has_entries: all > 0,
            is_urgent: known >= BATCH_ROWS_MAX || waiting.is_urgent,
        }
    }

    /// Returns the number of rows that are not on the disk yet, plus the number of places reserved for outcomes.
    pub(crate) fn rows(&self) -> usize {
        self.waiting.lock().rooms.iter().map(|room| room.rows).sum()
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        let waiting = self.waiting.lock();
        waiting.rooms.iter().map(|room| room.bytes).sum()
    }
}
