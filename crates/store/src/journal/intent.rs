//! Intents: rows that are on the disk before their sends begin.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::entry::{Closing, JournalEntry};
use super::queue::Queue;
use super::row::JournalRow;
use crate::Settlement;

/// A row on the disk whose outcome is still to come. If the outcome never comes, the next start closes the row as `unknown`.
pub struct Intent {
    queue: Arc<Queue>,
    id: i64,
    is_closed: bool,
}

impl Intent {
    pub(crate) fn new(queue: Arc<Queue>, id: i64) -> Intent {
        Intent {
            queue,
            id,
            is_closed: false,
        }
    }

    /// Returns the number of the intent's row.
    #[must_use]
    pub fn id(&self) -> i64 {
        self.id
    }

    /// Closes the row with its outcome. The queue has reserved a place for the outcome, so that this call neither waits nor fails.
    pub fn close(self, row: JournalRow) {
        self.end(Closing {
            row,
            settlement: None,
            reply: None,
        });
    }

    /// Closes the row with its outcome, and settles the key that it claimed. The receiver gets its value as soon as both are on the
    /// disk.
    pub fn settle(self, row: JournalRow, settlement: Settlement) -> oneshot::Receiver<()> {
        let (reply, written) = oneshot::channel();
        self.end(Closing {
            row,
            settlement: Some(settlement),
            reply: Some((reply, Handle::current())),
        });
        written
    }

    fn end(mut self, closing: Closing) {
        self.is_closed = true;
        // The queue always has a place for the outcome, even when it is closed.
        let _ = self
            .queue
            .push(JournalEntry::Close(self.id, Box::new(closing)));
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        if !self.is_closed {
            self.queue.report_lost(self.id);
        }
    }
}
