//! What waits in the journal's queue, and the room that it takes.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::class::CallerClass;
use super::entry::{JournalEntry, Lane, OUTCOME_BYTES};
use super::minute::COUNTED_KEYS_MAX;
use super::parts::JournalPart;

/// Most rows that wait. A disk that stalls for the store's five seconds loses nothing at ten thousand requests a second.
pub(crate) const QUEUE_ROWS_MAX: usize = 65_536;

/// Most that they take together, in bytes: the rows above at their usual length of a kilobyte.
pub(crate) const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Most rows of unknown callers that wait, in a room of their own: those of two full minutes.
const UNKNOWN_ROWS_MAX: usize = 2 * COUNTED_KEYS_MAX;

/// Most that they take together, in bytes: the rows above at two kilobytes.
const UNKNOWN_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Most rows of unknown callers that are written with others, beside those above: a millisecond or two.
const BATCH_UNKNOWN_MAX: usize = 256;

/// Room that is taken, also by what is being written and by outcomes that are still to come.
#[derive(Clone, Copy, Default)]
pub(super) struct TakenRoom {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

/// An entry, and when it came: later ones have higher numbers.
pub(super) type Numbered = (u64, JournalEntry);

#[derive(Default)]
pub(super) struct QueuedEntries {
    /// In the order of [`Lane::ALL`].
    pub(super) lanes: [VecDeque<Numbered>; Lane::ALL.len()],
    /// Callers who wait until everything before them is on the disk.
    pub(super) flushes: VecDeque<Numbered>,
    pub(super) last_number: u64,
    /// In the order of [`CallerClass::ALL`].
    pub(super) rooms: [TakenRoom; CallerClass::ALL.len()],
    /// Whether somebody waits and has not been failed since.
    pub(super) is_urgent: bool,
    pub(super) closed: bool,
    /// The oldest entry that is being written, of each part that is written apart. In the order of [`JournalPart::ALL`].
    pub(super) under_way: [Option<u64>; JournalPart::ALL.len()],
    /// Sends whose outcome will never come, as far as they are looked for by the sweep.
    pub(super) lost: Vec<i64>,
    /// Dropped when the queue is closed and empty.
    pub(super) drained: Option<oneshot::Sender<()>>,
}

impl QueuedEntries {
    pub(super) fn room(&mut self, class: CallerClass) -> &mut TakenRoom {
        &mut self.rooms[class as usize]
    }

    /// Frees the room of rows that will not be opened, and of their outcomes.
    pub(super) fn free(&mut self, entries: &[JournalEntry]) {
        let room = self.room(CallerClass::Known);
        for entry in entries {
            if let JournalEntry::Open(opening) = entry {
                room.rows -= 2;
                room.bytes -= opening.row.weight() + OUTCOME_BYTES;
            }
        }
    }

    /// Whether there is so much room for it.
    pub(super) fn has_room(&self, class: CallerClass, rows: usize, bytes: usize) -> bool {
        let room = self.rooms[class as usize];
        let (rows_max, bytes_max) = match class {
            CallerClass::Known => (QUEUE_ROWS_MAX, QUEUE_BYTES_MAX),
            CallerClass::Unknown => (UNKNOWN_ROWS_MAX, UNKNOWN_BYTES_MAX),
        };
        room.rows + rows <= rows_max && room.bytes + bytes <= bytes_max
    }

    pub(super) fn push_back(&mut self, entry: JournalEntry) {
        self.last_number += 1;
        // What is taken back was taken before whoever flushes now.
        let number = match entry {
            JournalEntry::Withdraw(_) => 0,
            _ => self.last_number,
        };
        let numbered = (number, entry);
        match numbered.1.lane() {
            Some(lane) => self.lanes[lane as usize].push_back(numbered),
            None => self.flushes.push_back(numbered),
        }
    }

    /// Entries that wait, of known callers and of all.
    pub(super) fn len(&self) -> (usize, usize) {
        let [closes, opens, known, unknown] = self.lanes.each_ref().map(VecDeque::len);
        let known = closes + opens + known + self.flushes.len();
        (known, known + unknown)
    }

    /// Whether somebody waits.
    pub(super) fn is_awaited(&self) -> bool {
        let [closes, opens, ..] = &self.lanes;
        !(self.flushes.is_empty() && closes.is_empty() && opens.is_empty())
    }

    /// What is written next of these lanes: sends first, and of unknown callers a few. In the order of coming.
    pub(super) fn next_of(&mut self, lanes: &[Lane], rows_max: usize) -> Vec<Numbered> {
        let mut left = rows_max;
        let mut taken: Vec<Numbered> = Vec::new();
        for lane in lanes {
            let most = match lane {
                Lane::Closes | Lane::Opens | Lane::Known => left,
                Lane::Unknown => BATCH_UNKNOWN_MAX,
            };
            let entries = &mut self.lanes[*lane as usize];
            let count = entries.len().min(most);
            taken.extend(entries.drain(..count));
            left -= if *lane == Lane::Unknown { 0 } else { count };
        }
        taken.sort_by_key(|(number, _)| *number);
        taken
    }

    /// These entries without the openings that nobody waits for any more.
    pub(super) fn without_given_up(&mut self, entries: Vec<Numbered>) -> Vec<JournalEntry> {
        let entries = entries.into_iter().map(|(_, entry)| entry);
        let (given_up, left): (Vec<_>, Vec<_>) = entries.partition(JournalEntry::is_given_up);
        self.free(&given_up);
        left
    }

    /// Takes the flushes before which nothing waits or is under way.
    pub(super) fn done_flushes(&mut self) -> Vec<Numbered> {
        let waiting = self.lanes.iter().filter_map(|lane| lane.front());
        let waiting = waiting.map(|(number, _)| *number);
        let oldest = waiting.chain(self.under_way.into_iter().flatten()).min();
        let is_done = |number: u64| oldest.is_none_or(|oldest| number < oldest);
        let mut done = Vec::new();
        while let Some(flush) = self.flushes.pop_front_if(|(number, _)| is_done(*number)) {
            done.push(flush);
        }
        done
    }

    /// Puts entries back to where they came from, except those that can fail, which it returns together with all others like
    /// them that wait.
    pub(super) fn put_back(
        &mut self,
        entries: Vec<JournalEntry>,
        lanes: &[Lane],
    ) -> Vec<JournalEntry> {
        let mut failed = Vec::new();
        for entry in entries.into_iter().rev() {
            match entry.lane() {
                Some(Lane::Opens) | None => failed.push(entry),
                // Before all others, and in their order.
                Some(lane) => self.lanes[lane as usize].push_front((0, entry)),
            }
        }
        failed.reverse();
        if lanes.contains(&Lane::Opens) {
            let opens = std::mem::take(&mut self.lanes[Lane::Opens as usize]);
            failed.extend(opens.into_iter().map(|(_, entry)| entry));
        }
        let flushes = std::mem::take(&mut self.flushes);
        failed.extend(flushes.into_iter().map(|(_, entry)| entry));
        self.is_urgent = false;
        self.free(&failed);
        failed
    }
}
