//! The journal's queue: bounded in rows and in bytes. A request that need not be on the disk never waits for it. What unknown
//! callers cause waits in a room of its own, and sends go first.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};

use tokio::sync::oneshot;

use super::class::CallerClass;
use super::entry::{JournalEntry, Lane, OUTCOME_BYTES};
use super::minute::COUNTED_KEYS_MAX;

/// Most rows that wait. A disk that stalls for the store's five seconds loses nothing at ten thousand requests a second.
pub(crate) const QUEUE_ROWS_MAX: usize = 65_536;

/// Most that they take together, in bytes: the rows above at their usual length of a kilobyte.
pub(crate) const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most rows written at once: some 10 ms of the writer, so that a change of an access waits no longer. Where
/// many accesses call, a page of an index is written once for all its rows of a batch.
pub(crate) const BATCH_ROWS_MAX: usize = 2048;

/// Most rows of unknown callers that wait, in a room of their own: those of two full minutes.
const UNKNOWN_ROWS_MAX: usize = 2 * COUNTED_KEYS_MAX;

/// Most that they take together, in bytes: the rows above at two kilobytes.
const UNKNOWN_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Most rows of unknown callers that are written with others, beside those above: a millisecond or two.
const BATCH_UNKNOWN_MAX: usize = 256;

/// The queue of one writer. Closed until the journal is started.
pub(crate) struct Queue {
    waiting: Mutex<QueuedEntries>,
    /// The thread that writes: woken when the first entry comes, when a batch is full, when somebody waits, and when the
    /// queue closes.
    writer: OnceLock<Thread>,
}

/// What the writer has to know before it writes.
pub(crate) struct PendingWork {
    /// Whether there is something to write.
    pub(crate) has_entries: bool,
    /// Whether it can't wait for more.
    pub(crate) presses: bool,
}

/// Room that is taken, also by what is being written and by outcomes that are still to come.
#[derive(Clone, Copy, Default)]
struct TakenRoom {
    rows: usize,
    bytes: usize,
}

/// An entry, and when it came: later ones have higher numbers.
type Numbered = (u64, JournalEntry);

#[derive(Default)]
struct QueuedEntries {
    /// In the order of [`Lane::ALL`].
    lanes: [VecDeque<Numbered>; Lane::ALL.len()],
    /// Callers who wait until everything before them is on the disk.
    flushes: VecDeque<Numbered>,
    last_number: u64,
    /// In the order of [`CallerClass::ALL`].
    rooms: [TakenRoom; CallerClass::ALL.len()],
    /// Whether somebody waits and has not been failed since.
    is_urgent: bool,
    closed: bool,
    /// Dropped when the queue is closed and empty.
    drained: Option<oneshot::Sender<()>>,
}

impl QueuedEntries {
    fn room(&mut self, class: CallerClass) -> &mut TakenRoom {
        &mut self.rooms[class as usize]
    }

    /// Frees the room of rows that will not be opened, and of their outcomes.
    fn free(&mut self, entries: &[JournalEntry]) {
        let room = self.room(CallerClass::Known);
        for entry in entries {
            if let JournalEntry::Open(opening) = entry {
                room.rows -= 2;
                room.bytes -= opening.row.weight() + OUTCOME_BYTES;
            }
        }
    }

    /// Whether there is so much room for it.
    fn has_room(&self, class: CallerClass, rows: usize, bytes: usize) -> bool {
        let room = self.rooms[class as usize];
        let (rows_max, bytes_max) = match class {
            CallerClass::Known => (QUEUE_ROWS_MAX, QUEUE_BYTES_MAX),
            CallerClass::Unknown => (UNKNOWN_ROWS_MAX, UNKNOWN_BYTES_MAX),
        };
        room.rows + rows <= rows_max && room.bytes + bytes <= bytes_max
    }

    fn push_back(&mut self, entry: JournalEntry) {
        self.last_number += 1;
        let numbered = (self.last_number, entry);
        match numbered.1.lane() {
            Some(lane) => self.lanes[lane as usize].push_back(numbered),
            None => self.flushes.push_back(numbered),
        }
    }

    /// Entries that wait, of known callers and of all.
    fn len(&self) -> (usize, usize) {
        let [sends, known, unknown] = self.lanes.each_ref().map(VecDeque::len);
        let known = sends + known + self.flushes.len();
        (known, known + unknown)
    }

    /// What is written next: sends first, and of unknown callers a few. In the order of coming.
    fn next_batch(&mut self) -> Vec<JournalEntry> {
        let mut left = BATCH_ROWS_MAX;
        let mut taken: Vec<Numbered> = Vec::new();
        for (lane, entries) in Lane::ALL.into_iter().zip(&mut self.lanes) {
            let most = match lane {
                Lane::Sends | Lane::Known => left,
                Lane::Unknown => BATCH_UNKNOWN_MAX,
            };
            let count = entries.len().min(most);
            taken.extend(entries.drain(..count));
            left -= if lane == Lane::Unknown { 0 } else { count };
        }
        let oldest_left = self.lanes.iter().filter_map(|lane| lane.front());
        let oldest_left = oldest_left.map(|(number, _)| *number).min();
        let is_done = |number: u64| oldest_left.is_none_or(|oldest| number < oldest);
        while let Some(flush) = self.flushes.pop_front_if(|(number, _)| is_done(*number)) {
            taken.push(flush);
        }
        taken.sort_by_key(|(number, _)| *number);
        taken.into_iter().map(|(_, entry)| entry).collect()
    }
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
        let _ = self.writer.set(thread::current());
    }

    fn wake(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
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
        waiting.push_back(entry);
        let (known, all) = waiting.len();
        drop(waiting);
        if is_urgent || all == 1 || (class == CallerClass::Known && known == BATCH_ROWS_MAX) {
            self.wake();
        }
        Ok(())
    }

    /// The next batch, without the openings that nobody waits for any more. It keeps its room until [`Queue::settle`].
    pub(crate) fn take(&self) -> Vec<JournalEntry> {
        let mut waiting = self.waiting();
        let taken = waiting.next_batch();
        waiting.is_urgent =
            !waiting.flushes.is_empty() || !waiting.lanes[Lane::Sends as usize].is_empty();
        let (given_up, taken): (Vec<_>, Vec<_>) =
            taken.into_iter().partition(JournalEntry::is_given_up);
        waiting.free(&given_up);
        taken
    }

    /// Puts entries back to where they came from, except those that can fail, which it returns together with all others like
    /// them that wait. What is left is not urgent any more: the writer tries again after a pause.
    pub(crate) fn put_back(&self, entries: Vec<JournalEntry>) -> Vec<JournalEntry> {
        let mut waiting = self.waiting();
        let mut failed = Vec::new();
        for entry in entries.into_iter().rev() {
            match entry.lane() {
                // Before all others, and in their order.
                Some(lane) => waiting.lanes[lane as usize].push_front((0, entry)),
                None => failed.push(entry),
            }
        }
        let sends = std::mem::take(&mut waiting.lanes[Lane::Sends as usize]);
        let (opens, rest): (VecDeque<_>, _) =
            sends.into_iter().partition(|(_, entry)| entry.can_fail());
        waiting.lanes[Lane::Sends as usize] = rest;
        let flushes = std::mem::take(&mut waiting.flushes);
        failed.extend(opens.into_iter().chain(flushes).map(|(_, entry)| entry));
        waiting.is_urgent = false;
        waiting.free(&failed);
        failed
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
        self.wake();
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

    fn waiting(&self) -> MutexGuard<'_, QueuedEntries> {
        // Nothing between two changes of it can panic half way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
