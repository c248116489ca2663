//! What waits to be written: bounded in rows and in bytes, and never waited for by a request that need not be on disk. What
//! unknown callers cause waits in a room of its own, and sends go first.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};

use super::writer::Outcome;
use super::{COUNTED_KEYS_MAX, Calls, Class, Counted, JournalRow, Opened};
use crate::{Claim, StoreError};

/// Most rows that wait. A disk that stalls for the store's five seconds loses nothing at ten thousand requests a second.
pub(super) const QUEUE_ROWS_MAX: usize = 65_536;

/// Most that they take together, in bytes: the rows above at their usual length of a kilobyte.
pub(super) const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most rows written at once: some 10 ms of the store's turn to write, so that a change of an access waits no longer. Where
/// many accesses call, a page of an index is written once for all its rows of a batch.
pub(super) const BATCH_ROWS_MAX: usize = 2048;

/// Most rows of unknown callers that wait, in a room of their own: those of two full minutes.
const UNKNOWN_ROWS_MAX: usize = 2 * COUNTED_KEYS_MAX;

/// Most that they take together, in bytes: the rows above at two kilobytes.
const UNKNOWN_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Most rows of unknown callers that are written with others, beside those above: a millisecond or two.
const BATCH_UNKNOWN_MAX: usize = 256;

/// What is kept free for the outcome of an open row, in bytes: a row without its answer.
const OUTCOME_BYTES: usize = 2 * 1024;

/// Something to write.
pub(super) enum Entry {
    /// A row that is whole.
    Row(Box<JournalRow>),
    /// A row that stands for many calls, or how many there are by now.
    Counted(Box<Counting>),
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

/// A count that is to be written.
pub(super) struct Counting {
    pub(super) counted: Arc<Counted>,
    /// The row that is written; none where it was written before, and only its count is.
    pub(super) row: Option<JournalRow>,
    /// The number of the row, and the calls that it tells of, once it is written.
    pub(super) id: i64,
    pub(super) calls: u64,
}

impl Counting {
    pub(super) fn of(counted: Arc<Counted>) -> Counting {
        Counting {
            counted,
            row: None,
            id: 0,
            calls: 0,
        }
    }

    /// Makes the row that is written first, under this number.
    pub(super) fn begin(&mut self, id: i64) {
        self.id = id;
        self.row = self.counted.row().map(|row| JournalRow {
            id,
            count: Calls(self.calls),
            ..row.clone()
        });
    }

    fn weight(&self) -> usize {
        self.counted.row().map_or(0, JournalRow::weight)
    }
}

/// The line that an entry waits in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    /// Sends that begin and end.
    Sends,
    /// All other rows of known callers.
    Known,
    /// Rows of unknown callers.
    Unknown,
}

impl Lane {
    /// In the order in which they are served.
    const ALL: [Lane; 3] = [Lane::Sends, Lane::Known, Lane::Unknown];

    fn class(self) -> Class {
        match self {
            Lane::Sends | Lane::Known => Class::Known,
            Lane::Unknown => Class::Unknown,
        }
    }
}

impl Entry {
    /// `None` for a flush, which waits for all lanes.
    fn lane(&self) -> Option<Lane> {
        match self {
            Entry::Open(_) | Entry::Close(..) | Entry::Withdraw(_) => Some(Lane::Sends),
            Entry::Row(_) => Some(Lane::Known),
            Entry::Counted(counting) => Some(match counting.counted.key().class() {
                Class::Known => Lane::Known,
                Class::Unknown => Lane::Unknown,
            }),
            Entry::Flush(_) => None,
        }
    }

    fn class(&self) -> Class {
        self.lane().map_or(Class::Known, Lane::class)
    }

    fn weight(&self) -> usize {
        match self {
            Entry::Row(row) => row.weight(),
            Entry::Counted(counting) => counting.weight(),
            Entry::Open(opening) => opening.row.weight(),
            Entry::Close(..) | Entry::Withdraw(_) => OUTCOME_BYTES,
            Entry::Flush(_) => 0,
        }
    }

    /// The row that it adds to the journal.
    pub(super) fn new_row(&self) -> Option<&JournalRow> {
        match self {
            Entry::Row(row) => Some(row),
            Entry::Counted(counting) => counting.row.as_ref(),
            Entry::Open(opening) => opening.obstacle.is_none().then_some(&opening.row),
            Entry::Close(..) | Entry::Withdraw(_) | Entry::Flush(_) => None,
        }
    }

    /// Whether somebody waits for it.
    pub(super) fn is_urgent(&self) -> bool {
        match self {
            Entry::Open(_) | Entry::Flush(_) => true,
            Entry::Close(_, outcome) => outcome.told.is_some(),
            Entry::Row(_) | Entry::Counted(_) | Entry::Withdraw(_) => false,
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

/// Room that is taken, by what is being written and by outcomes that are still to come as well.
#[derive(Clone, Copy, Default)]
struct Room {
    rows: usize,
    bytes: usize,
}

/// An entry, and when it came: later ones have higher numbers.
type Numbered = (u64, Entry);

#[derive(Default)]
struct Waiting {
    /// In the order of [`Lane::ALL`].
    lanes: [VecDeque<Numbered>; Lane::ALL.len()],
    /// Those who wait until all that came before them is on the disk.
    flushes: VecDeque<Numbered>,
    last_number: u64,
    /// In the order of [`Class::ALL`].
    rooms: [Room; Class::ALL.len()],
    urgent: usize,
    closed: bool,
}

impl Waiting {
    fn room(&mut self, class: Class) -> &mut Room {
        &mut self.rooms[class as usize]
    }

    /// Frees the room of rows that will not be opened, and of their outcomes.
    fn free(&mut self, entries: &[Entry]) {
        let room = self.room(Class::Known);
        for entry in entries {
            if let Entry::Open(opening) = entry {
                room.rows -= 2;
                room.bytes -= opening.row.weight() + OUTCOME_BYTES;
            }
        }
    }

    /// Whether there is so much room for it.
    fn has_room(&self, class: Class, rows: usize, bytes: usize) -> bool {
        let room = self.rooms[class as usize];
        let (rows_max, bytes_max) = match class {
            Class::Known => (QUEUE_ROWS_MAX, QUEUE_BYTES_MAX),
            Class::Unknown => (UNKNOWN_ROWS_MAX, UNKNOWN_BYTES_MAX),
        };
        room.rows + rows <= rows_max && room.bytes + bytes <= bytes_max
    }

    fn push_back(&mut self, entry: Entry) {
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
    fn next_batch(&mut self) -> Vec<Entry> {
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
    pub(super) fn new() -> Queue {
        Queue {
            waiting: Mutex::new(Waiting {
                closed: true,
                ..Waiting::default()
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
            Entry::Row(_) | Entry::Counted(_) => (1, entry.weight()),
            Entry::Open(opening) => (2, opening.row.weight() + OUTCOME_BYTES),
            Entry::Close(..) | Entry::Withdraw(_) | Entry::Flush(_) => (0, 0),
        };
        let class = entry.class();
        let full = !waiting.has_room(class, rows, bytes);
        let ends = waiting.closed && !matches!(entry, Entry::Close(..) | Entry::Withdraw(_));
        if ends || (rows > 0 && full) {
            return Err(entry);
        }
        let room = waiting.room(class);
        room.rows += rows;
        room.bytes += bytes;
        waiting.urgent += usize::from(entry.is_urgent());
        let is_urgent = entry.is_urgent();
        waiting.push_back(entry);
        let (known, all) = waiting.len();
        drop(waiting);
        if is_urgent || all == 1 || (class == Class::Known && known == BATCH_ROWS_MAX) {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// What is written next, as much as at once, without those that nobody waits for any more. It keeps its room until
    /// [`Queue::settle`].
    pub(super) fn take(&self) -> Vec<Entry> {
        let mut waiting = self.waiting();
        let taken = waiting.next_batch();
        waiting.urgent -= taken.iter().filter(|entry| entry.is_urgent()).count();
        let (given_up, taken): (Vec<_>, Vec<_>) = taken.into_iter().partition(Entry::is_given_up);
        waiting.free(&given_up);
        taken
    }

    /// Puts entries back to where they came from, but for all that can fail: these are given out.
    pub(super) fn put_back(&self, entries: Vec<Entry>) -> Vec<Entry> {
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
        let lanes = waiting.lanes.iter().flatten();
        waiting.urgent = lanes.filter(|(_, entry)| entry.is_urgent()).count();
        waiting.free(&failed);
        failed
    }

    /// Frees the room of entries that have been written.
    pub(super) fn settle(&self, entries: &[Entry]) {
        let mut waiting = self.waiting();
        for entry in entries {
            let room = waiting.room(entry.class());
            room.rows -= usize::from(!matches!(entry, Entry::Flush(_)));
            room.bytes -= entry.weight();
        }
    }

    /// Frees the room of an outcome that will not come.
    pub(super) fn forgo_outcome(&self) {
        let mut waiting = self.waiting();
        let room = waiting.room(Class::Known);
        room.rows -= 1;
        room.bytes -= OUTCOME_BYTES;
    }

    /// Takes no more rows; outcomes of open ones still find their places.
    pub(super) fn close(&self) {
        self.waiting().closed = true;
        self.wake.notify_one();
    }

    /// Whether there is something, whether it can't wait for more, and whether no more is to come.
    pub(super) fn state(&self) -> (bool, bool, bool) {
        let waiting = self.waiting();
        let (known, all) = waiting.len();
        let presses = known >= BATCH_ROWS_MAX || waiting.urgent > 0 || waiting.closed;
        (all > 0, presses, waiting.closed)
    }

    /// Whether nothing is to be written.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting().len().1 == 0
    }

    /// Rows that are not on disk yet, and places kept for outcomes.
    pub(super) fn rows(&self) -> usize {
        self.waiting().rooms.iter().map(|room| room.rows).sum()
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.waiting().rooms.iter().map(|room| room.bytes).sum()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing between two changes of it can panic half way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
