//! Handles rows that the database never accepts, however often they are tried.

use super::shared::LaneState;
use crate::StoreError;
use crate::journal::entry::JournalEntry;
use crate::journal::outcome::reply_failed;
use crate::postgres::error::PgError;

impl LaneState {
    /// Drops entries that the database rejects, and counts them. A send that was to begin does not begin. The sweep closes an
    /// ending send as one whose outcome is unknown.
    pub(super) fn refuse(&self, entries: Vec<JournalEntry>, error: &PgError) {
        tracing::error!(%error, "a journal row was dropped, because the database rejects it");
        let text = StoreError::new(error.to_string());
        self.journal.queue.settle(&entries);
        for entry in entries {
            self.journal.refused.add(entry.class(), 1);
            match &entry {
                JournalEntry::Open(opening) => {
                    self.sends.end(opening.row.id);
                    self.journal.queue.release_outcome();
                }
                JournalEntry::Close(id, _) | JournalEntry::Withdraw(id) => self.sends.end(*id),
                JournalEntry::Counted(update) => update.counted.dropped(),
                JournalEntry::Row(_) | JournalEntry::Flush(_) => {}
            }
            reply_failed(vec![entry], &text);
        }
    }
}
