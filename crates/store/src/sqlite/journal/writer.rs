//! The journal's part of the thread that writes: it writes rows in batches, since a commit waits for the disk, and one wait is
//! enough for many rows.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use tokio::runtime::Handle;

use super::batch::{Batch, try_writing};
use crate::journal::entry::JournalEntry;
use crate::journal::health::WriterHealth;
use crate::journal::queue::Queue;
use crate::sqlite::connection::WriteConnection;
use crate::{Journal, StoreError};

/// How long a row that nobody waits for may wait for others to share its commit; what a crash can lose of reads and
/// refusals. Ten commits a second leave even a slow disk idle.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);

/// Pause between two tries while the store can't be written, unless somebody waits.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Writes one journal.
pub(crate) struct JournalWriter {
    journal: Arc<Journal>,
    /// The key of the hashes of destinations and of idempotency keys.
    key: hmac::Key,
    /// When the next batch is written at the latest, or the next try made.
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

    /// Has this thread woken when there is something to write.
    pub(crate) fn begin(&self) {
        self.journal.queue.wake_this_thread();
    }

    /// What is known of this thread's writes.
    pub(crate) fn health(&self) -> &WriterHealth {
        &self.journal.health
    }

    /// Writes a batch if one is due, and returns when to ask again at the latest.
    pub(crate) fn serve(&mut self, connection: &mut WriteConnection) -> Option<Instant> {
        let state = self.journal.queue.state();
        if !state.has_entries && !self.health().is_failing() {
            self.due = None;
            return None;
        }
        let now = Instant::now();
        let due = *self.due.get_or_insert(now + FLUSH_INTERVAL);
        let presses = state.has_entries && state.presses;
        if !presses && now < due {
            return Some(due);
        }
        self.health().begins(now);
        let written = if state.has_entries {
            self.write_batch(connection)
        } else {
            // A gateway that is not ready may get no calls that would show that the store can be written again.
            let tried = connection.within(|transaction| try_writing(transaction));
            self.judge(&tried);
            tried
        };
        self.due = written.is_err().then(|| Instant::now() + RETRY_INTERVAL);
        Some(Instant::now())
    }

    /// Writes a batch in one transaction, and replies to those who wait.
    fn write_batch(&self, connection: &mut WriteConnection) -> Result<(), StoreError> {
        let queue = &self.journal.queue;
        let mut batch = queue.take();
        if batch.is_empty() {
            // The callers who waited for it have given up.
            self.health().rests();
            return Ok(());
        }
        let key = &self.key;
        let written =
            connection.within(|transaction| Batch::of(transaction, key).write(&mut batch));
        // A caller who gets a reply finds the journal's health in accord with it.
        self.judge(&written);
        match &written {
            Ok(()) => {
                queue.settle(&batch);
                self.acknowledge(batch);
            }
            Err(error) => self.give_back(batch, error),
        }
        written
    }

    /// Notes how a try to write went, and logs what is new about it.
    fn judge(&self, written: &Result<(), StoreError>) {
        let journal = &self.journal;
        match written {
            Ok(()) => {
                if journal.health.succeeded() {
                    tracing::warn!(dropped = journal.dropped(), "the journal is written again");
                }
            }
            Err(error) => {
                if journal.health.failed(error.to_string()) {
                    tracing::error!(%error, "the journal can't be written; rows wait as long as there is room");
                }
            }
        }
    }

    /// Replies to those who wait.
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

    /// Puts a batch back that was not written, and replies to those who wait.
    fn give_back(&self, batch: Vec<JournalEntry>, error: &StoreError) {
        let failed = || StoreError::new(format!("the journal can't be written: {error}"));
        for waiting in self.journal.queue.put_back(batch) {
            // A caller who has gone away meanwhile needs no reply.
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
}

/// The replies to the sends of a batch whose callers wait in one runtime, sent when they are dropped.
struct SendReplies {
    queue: Arc<Queue>,
    sends: Vec<JournalEntry>,
}

impl SendReplies {
    /// Has each runtime send its own: from this thread each reply would wake the runtime by a call to the system of its own.
    fn hand_over(queue: &Arc<Queue>, mut sends: Vec<JournalEntry>) {
        sends.retain(|entry| entry.runtime().is_some());
        while let Some(runtime) = sends.last().and_then(JournalEntry::runtime).cloned() {
            let waits_there =
                |entry: &mut JournalEntry| entry.runtime().map(Handle::id) == Some(runtime.id());
            let replies = SendReplies {
                queue: Arc::clone(queue),
                sends: sends.extract_if(.., waits_there).collect(),
            };
            // A runtime that has ended drops them at once.
            runtime.spawn(async move { drop(replies) });
        }
    }
}

impl Drop for SendReplies {
    fn drop(&mut self) {
        for entry in self.sends.drain(..) {
            match entry {
                JournalEntry::Open(opening) => match opening.obstacle {
                    Some(obstacle) => {
                        self.queue.forgo_outcome();
                        let _ = opening.reply.send(Ok(Err(obstacle)));
                    }
                    // A row that nobody takes any more is taken back.
                    None => {
                        if opening.reply.send(Ok(Ok(opening.row.id))).is_err() {
                            self.queue.withdraw(opening.row.id);
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
    }
}

impl Drop for JournalWriter {
    fn drop(&mut self) {
        self.journal.queue.abandon();
    }
}
