//! Handles the result of a batch, regardless of its writer: replies to its callers, and records the journal's health.

use super::entry::JournalEntry;
use super::intake::Journal;
use super::parts::JournalPart;
use super::queue::Queue;
use crate::StoreError;

impl Journal {
    /// Records the result of an attempt to write, and logs a change between success and failure.
    pub(crate) fn judge(&self, part: JournalPart, written: &Result<(), StoreError>) {
        match written {
            Ok(()) => {
                if self.health(part).succeeded() {
                    tracing::warn!(dropped = self.dropped(), "the journal can be written again");
                }
            }
            Err(error) => {
                if self.health(part).failed(error.to_string()) {
                    tracing::error!(%error, "the journal can't be written; new rows wait in memory until it is full");
                }
            }
        }
    }

    /// Replies to the callers that wait for a batch that has been written.
    pub(crate) fn acknowledge(&self, batch: Vec<JournalEntry>) {
        for entry in batch {
            match entry {
                JournalEntry::Flush(reply) => drop(reply.send(Ok(()))),
                JournalEntry::Counted(update) => update.counted.written(update.id, update.calls),
                send => reply_to_send(&self.queue, send),
            }
        }
    }
}

/// Replies to the caller that waits for an opened or closed send. Withdraws an opened row if its caller does not wait any more.
pub(crate) fn reply_to_send(queue: &Queue, send: JournalEntry) {
    match send {
        JournalEntry::Open(opening) => match opening.obstacle {
            Some(obstacle) => {
                queue.release_outcome();
                let _ = opening.reply.send(Ok(Err(obstacle)));
            }
            None => {
                if opening.reply.send(Ok(Ok(opening.row.id))).is_err() {
                    queue.withdraw(opening.row.id);
                }
            }
        },
        JournalEntry::Close(_, closing) => {
            if let Some((reply, _)) = closing.reply {
                let _ = reply.send(());
            }
        }
        JournalEntry::Row(_)
        | JournalEntry::Counted(_)
        | JournalEntry::Withdraw(_)
        | JournalEntry::Flush(_) => {}
    }
}

/// Replies with an error to the callers of entries that were not written and will not be written.
pub(crate) fn reply_failed(waiting: Vec<JournalEntry>, error: &StoreError) {
    let failed = || StoreError::new(format!("the journal can't be written: {error}"));
    for waiting in waiting {
        // A send error is ignored, because a caller that has given up needs no reply.
        match waiting {
            JournalEntry::Open(opening) => drop(opening.reply.send(Err(failed()))),
            JournalEntry::Flush(reply) => drop(reply.send(Err(failed()))),
            JournalEntry::Row(_)
            | JournalEntry::Counted(_)
            | JournalEntry::Close(..)
            | JournalEntry::Withdraw(_) => {}
        }
    }
}
