//! What waits to be written: bounded in rows and in bytes, and never waited for by a request that need not be on disk.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::writer::Outcome;
use super::{JournalRow, Opened};
use crate::{Claim, StoreError};

/// Most rows that wait. A disk that stalls for the store's five seconds loses nothing at ten thousand requests a second.
pub(super) const QUEUE_ROWS_MAX: usize = 65_536;

/// Most that they take together, in bytes: the rows above at their usual length of a kilobyte.
pub(super) const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most rows written at once: some 10 ms of the store's turn to write, so that a change of an access waits no longer. Where
/// many accesses call, a page of an index is written once for all its rows of a batch.
pub(super) const BATCH_ROWS_MAX: usize = 2048;

/// What is kept free for the outcome of an open row, in bytes: a row without its answer.
const OUTCOME_BYTES: usize = 2 * 1024;

/// Something to write.
pub(super) enum Entry {
    /// A row that is whole.
    Row(Box<JournalRow>),
    /// A row whose outcome is still to come; who waits is told as soon as it is on disk.
    Open(Box<Opening>),
    /// That outcome, by the number.
    Close(i64, Box<Outcome>),
    /// That there will be none, by the number: nothing was begun.
    Withdraw(i64),
    /// Who waits is told when all before it is on disk.
    Flush(oneshot::Sender<Result<(), StoreError>>),
}

/// A row that is to be opened.
pub(super) struct Opening {
    pub(super) row: JournalRow,
    /// The key that it claims.
    pub(super) claim: Option<Claim>,
    pub(super) told: oneshot::Sender<Result<Opened, StoreError>>,
    /// What stood in the way of the claim; the row was not written then.
    pub(super) obstacle: Option<crate::Obstacle>,
}

impl Entry {
    fn weight(&self) -> usize {
        match self {
            Entry::Row(row) => row.weight(),
            Entry::Open(opening) => opening.row.weight(),
            Entry::Close(..) | Entry::Withdraw(_) => OUTCOME_BYTES,
            Entry::Flush(_) => 0,
        }
    }

    /// The row that it adds to the journal.
    pub(super) fn new_row(&self) -> Option<&JournalRow> {
        match self {
            Entry::Row(row) => Some(row),
            Entry::Open(opening) => opening.obstacle.is_none().then_some(&opening.row),
            Entry::Close(..) | Entry::Withdraw(_) | Entry::Flush(_) => None,
        }
    }

    /// Whether somebody waits for it.
    pub(super) fn is_urgent(&self) -> bool {
        match self {
            Entry::Open(_) | Entry::Flush(_) => true,
            Entry::Close(_, outcome) => outcome.told.is_some(),
            Entry::Row(_) | Entry::Withdraw(_) => false,
        }
    }

    /// Whether it opens a row for somebody who has given up.
    fn is_given_up(&self) -> bool {
        matches!(self, Entry::Open(opening) if opening.told.is_closed())
    }

    /// Whether nothing is lost when it is not written: who waits is told so.
    fn can_fail(&self) -> bool {
        matches!(self, Entry::Open(_) | Entry::Flush(_))
    }
}

/// The queue of one writer. Closed until there is one.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// Told when the first entry comes, when a batch is full, when somebody waits, and when the queue closes.
    pub(super) wake: Notify,
}

struct Waiting {
    entries: VecDeque<Entry>,
    /// Room that is taken, by what is being written and by outcomes that are still to come as well.
    rows: usize,
    bytes: usize,
    urgent: usize,
    closed: bool,
}

impl Waiting {
    /// Frees the room of rows that will not be opened, and of their outcomes.
    fn free(&mut self, entries: &[Entry]) {
        for entry in entries {
            if let Entry::Open(opening) = entry {
                self.rows -= 2;
                self.bytes -= opening.row.weight() + OUTCOME_BYTES;
            }
        }
    }
}

impl Queue {
    pub(super) fn new() -> Queue {
        Queue {
            waiting: Mutex::new(Waiting {
                entries: VecDeque::new(),
                rows: 0,
                bytes: 0,
                urgent: 0,
                closed: true,
            }),
            wake: Notify::new(),
        }
    }

    /// From now on there is a writer.
    pub(super) fn open(&self) {
        self.waiting().closed = false;
    }

    /// Takes an entry if there is room for it, else gives it back.
    pub(super) fn push(&self, entry: Entry) -> Result<(), Entry> {
        let mut waiting = self.waiting();
        // An open row needs room for its outcome too, which must find a place whatever happens meanwhile.
        let (rows, bytes) = match &entry {
            Entry::Row(row) => (1, row.weight()),
            Entry::Open(opening) => (2, opening.row.weight() + OUTCOME_BYTES),
            Entry::Close(..) | Entry::Withdraw(_) | Entry::Flush(_) => (0, 0),
        };
        let full = waiting.rows + rows > QUEUE_ROWS_MAX || waiting.bytes + bytes > QUEUE_BYTES_MAX;
        let ends = waiting.closed && !matches!(entry, Entry::Close(..) | Entry::Withdraw(_));
        if ends || (rows > 0 && full) {
            return Err(entry);
        }
        waiting.rows += rows;
        waiting.bytes += bytes;
        waiting.urgent += usize::from(entry.is_urgent());
        let tells = entry.is_urgent() || matches!(waiting.entries.len() + 1, 1 | BATCH_ROWS_MAX);
        waiting.entries.push_back(entry);
        drop(waiting);
        if tells {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// The oldest entries, as many as are written at once, without those that nobody waits for any more. They keep their room
    /// until [`Queue::settle`].
    pub(super) fn take(&self) -> Vec<Entry> {
        let mut waiting = self.waiting();
        let count = waiting.entries.len().min(BATCH_ROWS_MAX);
        let taken: Vec<_> = waiting.entries.drain(..count).collect();
        waiting.urgent -= taken.iter().filter(|entry| entry.is_urgent()).count();
        let (given_up, taken): (Vec<_>, Vec<_>) = taken.into_iter().partition(Entry::is_given_up);
        waiting.free(&given_up);
        taken
    }

    /// Puts entries back to where they came from, but for all that can fail: these are given out.
    pub(super) fn put_back(&self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut waiting = self.waiting();
        for entry in entries.into_iter().rev() {
            waiting.entries.push_front(entry);
        }
        let all = std::mem::take(&mut waiting.entries);
        let (failed, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(Entry::can_fail);
        waiting.urgent = rest.iter().filter(|entry| entry.is_urgent()).count();
        waiting.entries = rest.into();
        waiting.free(&failed);
        failed
    }

    /// Frees the room of entries that have been written.
    pub(super) fn settle(&self, entries: &[Entry]) {
        let mut waiting = self.waiting();
        for entry in entries {
            waiting.rows -= usize::from(!matches!(entry, Entry::Flush(_)));
            waiting.bytes -= entry.weight();
        }
    }

    /// Frees the room of an outcome that will not come.
    pub(super) fn forgo_outcome(&self) {
        let mut waiting = self.waiting();
        waiting.rows -= 1;
        waiting.bytes -= OUTCOME_BYTES;
    }

    /// Takes no more rows; outcomes of open ones still find their places.
    pub(super) fn close(&self) {
        self.waiting().closed = true;
        self.wake.notify_one();
    }

    /// Whether there is something, whether it can't wait for more, and whether no more is to come.
    pub(super) fn state(&self) -> (bool, bool, bool) {
        let waiting = self.waiting();
        let full = waiting.entries.len() >= BATCH_ROWS_MAX;
        let presses = full || waiting.urgent > 0 || waiting.closed;
        (!waiting.entries.is_empty(), presses, waiting.closed)
    }

    /// Whether nothing is to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting().entries.is_empty()
    }

    /// Rows that are not on disk yet, and places kept for outcomes.
    pub(super) fn rows(&self) -> usize {
        self.waiting().rows
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.waiting().bytes
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing between two changes of it can panic half way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
