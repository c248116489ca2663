//! The one task that writes the journal, in groups: a commit waits for the disk, and one wait is enough for many rows.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

use super::queue::{Entry, Opening, Queue};
use super::{JournalRow, sql};
use crate::{Claim, Receipt, Settlement, Store, StoreError, receipts};

/// How long a row that nobody waits for may wait for others to share its commit; what a crash can lose of reads and
/// refusals. Ten commits a second leave even a slow disk idle.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);

/// Pause between two tries while the store can't be written, unless somebody waits.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Longest that the end of the process waits for rows to get to the disk: one stall of the store, and time to write all
/// that may wait.
const STOP_MAX: Duration = Duration::from_secs(10);

/// The journal of one gateway: takes rows without waiting, and has them written.
pub struct Journal {
    queue: Queue,
    dropped: AtomicU64,
    writing: Mutex<Option<JoinHandle<()>>>,
}

/// A row on disk whose outcome is still to come. If it never does, the next start closes the row as `unknown`.
pub struct Intent {
    journal: Arc<Journal>,
    id: i64,
    closed: bool,
}

/// What came of opening a row.
#[must_use]
pub enum Opened {
    /// It is on disk, and the key is claimed.
    Intent(Intent),
    /// The key was claimed before; the row was not written.
    Known(Receipt),
}

/// How an open row ends.
pub(super) struct Outcome {
    pub(super) row: JournalRow,
    pub(super) settlement: Option<Settlement>,
    /// Who waits until it is on disk.
    pub(super) told: Option<oneshot::Sender<()>>,
}

impl Journal {
    /// One that takes nothing until it is started.
    pub(crate) fn new() -> Journal {
        Journal {
            queue: Queue::new(),
            dropped: AtomicU64::new(0),
            writing: Mutex::new(None),
        }
    }

    /// Closes what an earlier process left open, and starts the writer of this store's journal. Once for each store.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn start(store: &Arc<Store>) -> Result<Arc<Journal>, StoreError> {
        let left_open = store.close_left_open().await?;
        if left_open > 0 {
            tracing::warn!(
                rows = left_open,
                "closed as unknown what the last process left open"
            );
        }
        let journal = Arc::clone(store.journal());
        journal.queue.open();
        let writing = tokio::spawn(write_all(Arc::clone(&journal), Arc::clone(store)));
        *journal
            .writing
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(writing);
        Ok(journal)
    }

    /// Takes a row that is whole. Never waits: without room for it, it is dropped and counted.
    pub fn add(&self, row: JournalRow) {
        if self.queue.push(Entry::Row(Box::new(row))).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes a row whose outcome is still to come, with the key that it claims, and waits until both are on disk.
    ///
    /// # Errors
    /// When there is no room for it or the store can't be written. It is not in the journal then, and what it speaks of
    /// must not be begun.
    pub async fn open(&self, row: JournalRow, claim: Option<Claim>) -> Result<Opened, StoreError> {
        let (told, written) = oneshot::channel();
        let pushed = self.queue.push(Entry::Open(Box::new(Opening {
            row: JournalRow { open: true, ..row },
            claim,
            told,
            known: None,
        })));
        pushed.map_err(|_| StoreError::new("the journal has no room"))?;
        written
            .await
            .map_err(|_| StoreError::new("the journal has ended"))?
    }

    /// Waits until all that was taken before is on disk.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let ended = |_| StoreError::new("the journal has ended");
        let (told, written) = oneshot::channel();
        let pushed = self.queue.push(Entry::Flush(told));
        pushed.map_err(|_| StoreError::new("the journal has ended"))?;
        written.await.map_err(ended)?
    }

    /// Writes what is left and ends; gives up on a store that can't be written.
    pub async fn stop(&self) {
        self.queue.close();
        let writing = self
            .writing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut writing) = writing else {
            return;
        };
        if timeout(STOP_MAX, &mut writing).await.is_err() {
            writing.abort();
            tracing::error!(rows = self.queued(), "journal rows were lost at the end");
        }
    }

    /// Rows that are not on disk yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.rows()
    }

    /// Rows for which there was no room since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn queued_bytes(&self) -> usize {
        self.queue.bytes()
    }
}

impl Intent {
    /// The number of its row.
    #[must_use]
    pub fn id(&self) -> i64 {
        self.id
    }

    /// Closes the row with its outcome. Its place has been kept, so that this neither waits nor fails.
    pub fn close(self, row: JournalRow) {
        self.end(Outcome {
            row,
            settlement: None,
            told: None,
        });
    }

    /// Likewise, and settles the key that it claimed. Gives what is told as soon as both are on disk.
    pub fn settle(self, row: JournalRow, settlement: Settlement) -> oneshot::Receiver<()> {
        let (told, written) = oneshot::channel();
        self.end(Outcome {
            row,
            settlement: Some(settlement),
            told: Some(told),
        });
        written
    }

    fn end(mut self, outcome: Outcome) {
        self.closed = true;
        // A place is always there; the queue takes outcomes even when it is closed.
        let _ = self
            .journal
            .queue
            .push(Entry::Close(self.id, Box::new(outcome)));
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        if !self.closed {
            self.journal.queue.forgo_outcome();
        }
    }
}

/// Writes until the queue is closed and empty.
async fn write_all(journal: Arc<Journal>, store: Arc<Store>) {
    let queue = &journal.queue;
    let mut failing_since = None;
    loop {
        gather(queue).await;
        let mut batch = queue.take();
        if batch.is_empty() {
            return;
        }
        match store.write_journal(&mut batch).await {
            Ok(()) => {
                queue.settle(&batch);
                acknowledge(&journal, batch);
                if failing_since.take().is_some() {
                    tracing::warn!(dropped = journal.dropped(), "the journal is written again");
                }
            }
            Err(error) => {
                if failing_since.replace(Instant::now()).is_none() {
                    tracing::error!(%error, "the journal can't be written; rows wait as long as there is room");
                }
                let failed = || StoreError::new("the journal can't be written");
                for waiting in queue.put_back(batch) {
                    // Who has gone away meanwhile needs no answer.
                    match waiting {
                        Entry::Open(opening) => drop(opening.told.send(Err(failed()))),
                        Entry::Flush(told) => drop(told.send(Err(failed()))),
                        Entry::Row(_) | Entry::Close(..) => {}
                    }
                }
                // Who waits gets a try of their own at once.
                let _ = timeout(RETRY_INTERVAL, queue.wake.notified()).await;
            }
        }
    }
}

/// Waits for something to write, and then a moment for more; not when somebody waits, a batch is full, or all ends.
async fn gather(queue: &Queue) {
    let mut until = None;
    loop {
        let (some, presses, closed) = queue.state();
        match (some, until) {
            (true, _) if presses => return,
            (false, _) if closed => return,
            (true, None) => until = Some(Instant::now() + FLUSH_INTERVAL),
            (true, Some(_)) => {}
            (false, _) => {
                queue.wake.notified().await;
                continue;
            }
        }
        if let Some(until) = until
            && timeout_at(until, queue.wake.notified()).await.is_err()
        {
            return;
        }
    }
}

/// Tells those who wait. An intent that nobody takes any more gives its place back by itself.
fn acknowledge(journal: &Arc<Journal>, batch: Vec<Entry>) {
    for entry in batch {
        match entry {
            Entry::Open(opening) => {
                let opened = match opening.known {
                    Some(receipt) => {
                        journal.queue.forgo_outcome();
                        Opened::Known(receipt)
                    }
                    None => Opened::Intent(Intent {
                        journal: Arc::clone(journal),
                        id: opening.row.id,
                        closed: false,
                    }),
                };
                drop(opening.told.send(Ok(opened)));
            }
            Entry::Flush(told) => drop(told.send(Ok(()))),
            Entry::Close(_, outcome) => {
                if let Some(told) = outcome.told {
                    let _ = told.send(());
                }
            }
            Entry::Row(_) => {}
        }
    }
}

impl Store {
    /// Writes a batch in one transaction, and gives each row its number.
    async fn write_journal(&self, batch: &mut [Entry]) -> Result<(), StoreError> {
        let mut transaction = self.writer().begin_with("BEGIN IMMEDIATE").await?;
        let mut last = 0;
        for entry in batch.iter_mut() {
            let row = match entry {
                Entry::Row(row) => &mut **row,
                Entry::Open(opening) => &mut opening.row,
                Entry::Close(..) | Entry::Flush(_) => continue,
            };
            last = match last {
                0 => sql::next_id(&mut transaction, row.at_ms).await?,
                last => super::first_id_at(row.at_ms).max(last + 1),
            };
            row.id = last;
            if let Entry::Open(opening) = entry
                && let Some(claim) = &opening.claim
            {
                opening.known = receipts::claim(&mut transaction, claim, last).await?;
            }
        }
        let rows: Vec<&JournalRow> = batch
            .iter()
            .filter_map(|entry| match entry {
                Entry::Row(row) => Some(&**row),
                Entry::Open(opening) => opening.known.is_none().then_some(&opening.row),
                Entry::Close(..) | Entry::Flush(_) => None,
            })
            .collect();
        sql::insert(&mut transaction, self.journal_key(), &rows).await?;
        for entry in batch.iter() {
            if let Entry::Close(id, outcome) = entry {
                sql::close(&mut transaction, *id, &outcome.row).await?;
                if let Some(settlement) = &outcome.settlement {
                    receipts::settle(&mut transaction, *id, settlement).await?;
                }
            }
        }
        transaction.commit().await?;
        Ok(())
    }

    async fn close_left_open(&self) -> Result<u64, StoreError> {
        let mut transaction = self.writer().begin_with("BEGIN IMMEDIATE").await?;
        receipts::close_left_open(&mut transaction).await?;
        let closed = sqlx::query(
            "UPDATE journal SET open = 0, delivery = 'unknown', cause = 'the gateway ended before the outcome was known'
             WHERE open = 1",
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(closed.rows_affected())
    }
}
