//! The queue of a journal that is written in parts.

use tokio::sync::oneshot;

use super::entry::{JournalEntry, Lane};
use super::parts::{JournalPart, PartTasks, QueueWriter};
use super::queue::{BATCH_ROWS_MAX, Queue};
use crate::StoreError;

/// Maximum number of starts or ends of sends in one batch: some 15 ms of a connection.
const BATCH_SENDS_MAX: usize = 512;

fn batch_max(part: JournalPart) -> usize {
    match part {
        JournalPart::Opens | JournalPart::Closes => BATCH_SENDS_MAX,
        JournalPart::Rows => BATCH_ROWS_MAX,
    }
}

/// The reply channel of a caller that waits until everything before it is on the disk.
type Flush = oneshot::Sender<Result<(), StoreError>>;

/// The pending work of a part.
pub(crate) struct PartWork {
    pub(crate) has_entries: bool,
    /// True if the writer must write now instead of waiting for more entries.
    pub(crate) is_urgent: bool,
}

impl Queue {
    /// Makes the queue wake one task for each part, instead of one thread, when there is something to write.
    pub(crate) fn write_in_parts(&self) {
        // The result is ignored because a queue has only one writer.
        let _ = self.writer.set(QueueWriter::Parts(PartTasks::default()));
    }

    /// Waits until a part may have something to write.
    pub(crate) async fn woken(&self, part: JournalPart) {
        match self.writer.get() {
            Some(QueueWriter::Parts(parts)) => parts.woken(part).await,
            Some(QueueWriter::Thread(_)) | None => std::future::pending().await,
        }
    }

    /// Wakes the tasks of all parts.
    pub(crate) fn wake_parts(&self) {
        if let Some(QueueWriter::Parts(parts)) = self.writer.get() {
            parts.wake_all();
        }
    }

    /// Returns the pending work of a part.
    pub(crate) fn work_of(&self, part: JournalPart) -> PartWork {
        let waiting = self.waiting.lock();
        let lens = part
            .lanes()
            .iter()
            .map(|lane| waiting.lanes[*lane as usize].len());
        let known = waiting.lanes[Lane::Known as usize].len();
        let closes = &waiting.lanes[Lane::Closes as usize];
        let closes_press = part == JournalPart::Closes
            && (closes.len() >= BATCH_SENDS_MAX
                || closes.iter().any(|(_, close)| close.is_urgent()));
        PartWork {
            has_entries: lens.sum::<usize>() > 0,
            is_urgent: waiting.closed
                || !waiting.flushes.is_empty()
                || known >= BATCH_ROWS_MAX
                || closes_press,
        }
    }

    /// Takes the next batch of a part, without openings whose callers have given up. The batch counts as under way until
    /// [`Queue::end_batch`].
    pub(crate) fn take_part(&self, part: JournalPart) -> Vec<JournalEntry> {
        let mut waiting = self.waiting.lock();
        let taken = waiting.next_in_lanes(part.lanes(), batch_max(part));
        waiting.under_way[part as usize] = taken.first().map(|(number, _)| *number);
        let times = taken.iter().filter_map(|(_, entry)| entry.row_ms());
        waiting.under_way_ms[part as usize] = times.min();
        waiting.without_abandoned(taken)
    }

    /// Puts a batch of a part back, except openings. Returns the openings of the batch together with all waiting openings of the
    /// part and all flushes, so that their callers get an error.
    pub(crate) fn put_back_part(
        &self,
        part: JournalPart,
        batch: Vec<JournalEntry>,
    ) -> Vec<JournalEntry> {
        let mut waiting = self.waiting.lock();
        waiting.under_way[part as usize] = None;
        waiting.under_way_ms[part as usize] = None;
        waiting.put_back(batch, part.lanes())
    }

    /// Records that no batch of the part is under way, and returns the flushes that this completes. A closed and empty queue then
    /// counts as drained.
    pub(crate) fn end_batch(&self, part: JournalPart) -> Vec<Flush> {
        let mut waiting = self.waiting.lock();
        waiting.under_way[part as usize] = None;
        waiting.under_way_ms[part as usize] = None;
        let done = waiting.done_flushes();
        let (_, left) = waiting.len();
        if left == 0 && waiting.under_way.iter().all(Option::is_none) {
            waiting.drained = None;
        }
        let done = done.into_iter();
        done.filter_map(|(_, entry)| match entry {
            JournalEntry::Flush(reply) => Some(reply),
            _ => None,
        })
        .collect()
    }

    /// Returns the time of the oldest row that is not on the disk, in milliseconds since 1970; `None` if all rows are.
    pub(crate) fn oldest_ms(&self) -> Option<i64> {
        self.waiting.lock().oldest_ms()
    }

    /// Frees the reserved place of an open row whose intent was dropped without an outcome.
    pub(crate) fn report_lost(&self, id: i64) {
        self.release_outcome();
        if matches!(self.writer.get(), Some(QueueWriter::Parts(_))) {
            self.waiting.lock().lost.push(id);
        }
    }

    /// Takes the sends that were reported since the last call as never getting an outcome.
    pub(crate) fn take_lost(&self) -> Vec<i64> {
        std::mem::take(&mut self.waiting.lock().lost)
    }
}
