//! The journal's part of the writer thread. It writes rows in batches because a commit waits for the disk, and one wait is enough
//! for many rows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use tokio::runtime::Handle;

use super::batch::{Batch, try_writing};
use crate::journal::entry::JournalEntry;
use crate::journal::health::WriterHealth;
use crate::journal::outcome::{reply_failed, reply_to_send};
use crate::journal::parts::JournalPart;
use crate::journal::queue::Queue;
use crate::sqlite::connection::WriteConnection;
use crate::{Journal, StoreError};

/// Time that a row may wait for other rows to share its commit, if no caller waits for it. A crash can lose this much of reads and
/// rejections. With ten commits a second, even a slow disk is mostly idle.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);

/// Pause between two attempts while the store can't be written, unless a caller waits.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The writer of one journal.
pub(crate) struct JournalWriter {
    journal: Arc<Journal>,
    /// The key of the hashes of destinations and of idempotency keys.
    key: hmac::Key,
    /// The latest time for the next batch or the next attempt.
    due: Option<Instant>,
}

impl JournalWriter {
    pub(crate) fn new(journal: Arc<Journal>, key: hmac::Key) -> JournalWriter {
        JournalWriter {
            journal,
            key,
            due: None,
        }
    }

    /// Makes the queue wake the current thread when there is something to write.
    pub(crate) fn begin(&self) {
        self.journal.queue.wake_this_thread();
    }

    /// Returns the health of this thread's writes.
    pub(crate) fn health(&self) -> &WriterHealth {
        self.journal.health(JournalPart::Rows)
    }

    /// Writes a batch if one is due. Returns the latest time for the next call.
    pub(crate) fn serve(&mut self, connection: &mut WriteConnection) -> Option<Instant> {
        let state = self.journal.queue.state();
        if !state.has_entries && !self.health().is_failing() {
            self.due = None;
            return None;
        }
        let now = Instant::now();
        let due = *self.due.get_or_insert(now + FLUSH_INTERVAL);
        let is_urgent = state.has_entries && state.is_urgent;
        if !is_urgent && now < due {
            return Some(due);
        }
        self.health().begins(now);
        let written = if state.has_entries {
            self.write_batch(connection)
        } else {
            // A gateway that is not ready may get no calls, and without calls only this write shows that the store can be written
            // again.
            let tried = connection.within(|transaction| try_writing(transaction));
            let tried = tried.map_err(|error: StoreError| error.in_file(connection.path()));
            self.journal.judge(JournalPart::Rows, &tried);
            tried
        };
        self.due = written.is_err().then(|| Instant::now() + RETRY_INTERVAL);
        Some(Instant::now())
    }

    /// Writes a batch in one transaction, and replies to the callers that wait.
    fn write_batch(&self, connection: &mut WriteConnection) -> Result<(), StoreError> {
        let queue = &self.journal.queue;
        let mut batch = queue.take();
        if batch.is_empty() {
            // The callers that waited for these entries have given up.
            self.health().rests();
            return Ok(());
        }
        let key = &self.key;
        let written =
            connection.within(|transaction| Batch::of(transaction, key).write(&mut batch));
        let written = written.map_err(|error: StoreError| error.in_file(connection.path()));
        // The health is recorded first, so that a caller that gets a reply sees a health that matches the reply.
        self.journal.judge(JournalPart::Rows, &written);
        match &written {
            Ok(()) => {
                queue.settle(&batch);
                self.acknowledge(batch);
            }
            Err(error) => reply_failed(queue.put_back(batch), error),
        }
        written
    }

    /// Replies to the callers that wait.
    fn acknowledge(&self, batch: Vec<JournalEntry>) {
        let mut sends = Vec::new();
        for entry in batch {
            match entry {
                JournalEntry::Open(_) | JournalEntry::Close(..) => sends.push(entry),
                JournalEntry::Flush(reply) => drop(reply.send(Ok(()))),
                JournalEntry::Counted(update) => update.counted.written(update.id, update.calls),
                JournalEntry::Row(_) | JournalEntry::Withdraw(_) => {}
            }
        }
        SendReplies::hand_over(&self.journal.queue, sends);
    }
}

/// The replies to those sends of a batch whose callers wait in the same runtime. They are sent when this value is dropped.
struct SendReplies {
    queue: Arc<Queue>,
    sends: Vec<JournalEntry>,
}

impl SendReplies {
    /// Lets each runtime send its own replies. From this thread, each reply would wake the runtime with a separate system call.
    fn hand_over(queue: &Arc<Queue>, mut sends: Vec<JournalEntry>) {
        sends.retain(|entry| entry.runtime().is_some());
        while let Some(runtime) = sends.last().and_then(JournalEntry::runtime).cloned() {
            let waits_there =
                |entry: &mut JournalEntry| entry.runtime().map(Handle::id) == Some(runtime.id());
            let replies = SendReplies {
                queue: Arc::clone(queue),
                sends: sends.extract_if(.., waits_there).collect(),
            };
            // A runtime that has ended drops the replies immediately.
            runtime.spawn(async move { drop(replies) });
        }
    }
}

impl Drop for SendReplies {
    fn drop(&mut self) {
        for entry in self.sends.drain(..) {
            reply_to_send(&self.queue, entry);
        }
    }
}

impl Drop for JournalWriter {
    fn drop(&mut self) {
        self.journal.queue.abandon();
    }
}
