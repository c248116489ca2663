//! The entries of the journal's queue, and the room that they take.

use std::collections::VecDeque;

use tokio::sync::oneshot;

use super::class::CallerClass;
use super::entry::{JournalEntry, Lane, OUTCOME_BYTES};
use super::minute::COUNTED_KEYS_MAX;
use super::parts::JournalPart;

/// Maximum number of waiting rows. At ten thousand requests a second, a disk that stalls for the store's five seconds loses
/// nothing.
pub(crate) const QUEUE_ROWS_MAX: usize = 65_536;

/// Maximum size of the waiting rows in bytes: the number of rows above with a typical size of a kilobyte.
pub(crate) const QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Maximum number of waiting rows of unknown callers, which have a separate room: the rows of two full minutes.
const UNKNOWN_ROWS_MAX: usize = 2 * COUNTED_KEYS_MAX;

/// Maximum size of the waiting rows of unknown callers in bytes: the number of rows above with two kilobytes each.
const UNKNOWN_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Maximum number of rows of unknown callers in a batch, in addition to the other rows of the batch: a millisecond or two.
const BATCH_UNKNOWN_MAX: usize = 256;

/// The occupied room, including entries that are being written and reserved outcomes.
#[derive(Clone, Copy, Default)]
pub(super) struct QueueUsage {
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

/// An entry with its arrival number: later entries have higher numbers.
pub(super) type NumberedEntry = (u64, JournalEntry);

#[derive(Default)]
pub(super) struct QueuedEntries {
    /// The waiting entries, in the order of [`Lane::ALL`].
    pub(super) lanes: [VecDeque<NumberedEntry>; Lane::ALL.len()],
    /// Callers that wait until everything before them is on the disk.
    pub(super) flushes: VecDeque<NumberedEntry>,
    pub(super) last_number: u64,
    /// The occupied room, in the order of [`CallerClass::ALL`].
    pub(super) rooms: [QueueUsage; CallerClass::ALL.len()],
    /// True if a caller waits that has not received an error yet.
    pub(super) is_urgent: bool,
    pub(super) closed: bool,
    /// The arrival number of the oldest entry that is being written, for each part that is written separately. In the order of
    /// [`JournalPart::ALL`].
    pub(super) under_way: [Option<u64>; JournalPart::ALL.len()],
    /// The time of the oldest row that is being written, for each of these parts; milliseconds since 1970.
    pub(super) under_way_ms: [Option<i64>; JournalPart::ALL.len()],
    /// Sends whose outcome will never come; recorded only where the sweep looks for such sends.
    pub(super) lost: Vec<i64>,
    /// The sender that is dropped when the queue is closed and empty.
    pub(super) drained: Option<oneshot::Sender<()>>,
}

impl QueuedEntries {
    pub(super) fn room(&mut self, class: CallerClass) -> &mut QueueUsage {
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

    /// Returns whether the class has this much room left.
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
        // A withdrawn row is older than every waiting flush, so that the flush must wait for the withdrawal.
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

    /// Returns the time of the oldest row that is not on the disk, in milliseconds since 1970. In a lane, rows wait in the order of
    /// their times, apart from the time between a row's creation and its arrival.
    pub(super) fn oldest_ms(&self) -> Option<i64> {
        let first = |lane: &VecDeque<NumberedEntry>| {
            let mut entries = lane.iter();
            entries.find_map(|(_, entry)| entry.row_ms())
        };
        let waiting = self.lanes.iter().filter_map(first);
        waiting.chain(self.under_way_ms.into_iter().flatten()).min()
    }

    /// Returns the number of waiting entries of known callers, and of all callers.
    pub(super) fn len(&self) -> (usize, usize) {
        let [closes, opens, known, unknown] = self.lanes.each_ref().map(VecDeque::len);
        let known = closes + opens + known + self.flushes.len();
        (known, known + unknown)
    }

    /// Returns whether a caller waits.
    pub(super) fn is_awaited(&self) -> bool {
        let [closes, opens, ..] = &self.lanes;
        !(self.flushes.is_empty() && closes.is_empty() && opens.is_empty())
    }

    /// Takes the next batch from these lanes: sends first, and a few entries of unknown callers. The batch is in the order of
    /// arrival.
    pub(super) fn next_in_lanes(&mut self, lanes: &[Lane], rows_max: usize) -> Vec<NumberedEntry> {
        let mut left = rows_max;
        let mut taken: Vec<NumberedEntry> = Vec::new();
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

    /// Returns these entries without the openings whose callers have given up.
    pub(super) fn without_abandoned(&mut self, entries: Vec<NumberedEntry>) -> Vec<JournalEntry> {
        let entries = entries.into_iter().map(|(_, entry)| entry);
        let (given_up, left): (Vec<_>, Vec<_>) = entries.partition(JournalEntry::is_abandoned);
        self.free(&given_up);
        left
    }

    /// Takes the flushes before which no entry waits or is under way.
    pub(super) fn done_flushes(&mut self) -> Vec<NumberedEntry> {
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

    /// Puts entries back into their lanes, except openings and flushes. Returns these together with all waiting flushes, and with
    /// all waiting openings if `lanes` contains the lane of openings.
    pub(super) fn put_back(
        &mut self,
        entries: Vec<JournalEntry>,
        lanes: &[Lane],
    ) -> Vec<JournalEntry> {
        let mut failed = Vec::new();
        for entry in entries.into_iter().rev() {
            match entry.lane() {
                Some(Lane::Opens) | None => failed.push(entry),
                // The entry goes before all waiting entries; the reversed loop keeps the order of the entries put back.
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
