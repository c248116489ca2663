//! The one thread that writes the journal, in groups: a commit waits for the disk, and one wait is enough for many rows.

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::Connection;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use super::class::ByClass;
use super::counted::Counting;
use super::health::Health;
use super::queue::{Entry, Opening, Queue};
use super::{Class, JournalRow};
use crate::{Claim, Obstacle, Settlement, Store, StoreError, receipts};

/// How long a row that nobody waits for may wait for others to share its commit; what a crash can lose of reads and
/// refusals. Ten commits a second leave even a slow disk idle.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);

/// Pause between two tries while the store can't be written, unless somebody waits.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Longest that a caller waits until a row is on the disk, or for all rows before theirs to be. A disk takes milliseconds; with
/// one that takes seconds nothing is sent, and who asked knows soon enough to come again.
const WAIT_MAX: Duration = Duration::from_secs(3);

/// Longest that the end of the process waits for rows to get to the disk: one stall of the store, and time to write all
/// that may wait.
const STOP_MAX: Duration = Duration::from_secs(10);

/// The journal of one gateway: takes rows without waiting, and has them written.
pub struct Journal {
    pub(super) queue: Queue,
    pub(super) counting: Counting,
    health: Health,
    pub(super) dropped: ByClass,
    /// Rows that went because of their room before their time was over.
    cleared_early: ByClass,
    /// Before this row nothing is left but what is cleared last.
    plain_cleared_to: AtomicI64,
    writing: Mutex<Option<Writing>>,
}

/// The thread that writes.
struct Writing {
    /// Comes to its end with the thread.
    ended: oneshot::Receiver<()>,
    /// Without it the thread gives up what is left.
    _goes_on: oneshot::Sender<()>,
}

/// A row on disk whose outcome is still to come. If it never does, the next start closes the row as `unknown`.
pub struct Intent {
    journal: Arc<Journal>,
    id: i64,
    stage: Stage,
}

/// How far an intent has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It is on disk, and nobody has it yet.
    Offered,
    /// Somebody has it, and may have begun what it speaks of.
    Taken,
    /// It has its outcome.
    Closed,
}

/// What came of opening a row.
#[must_use]
pub enum Opened {
    /// It is on disk, and the key is claimed.
    Intent(Intent),
    /// The key can't be claimed; the row was not written.
    Obstacle(Obstacle),
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
            counting: Counting::default(),
            health: Health::new(),
            dropped: ByClass::default(),
            cleared_early: ByClass::default(),
            plain_cleared_to: AtomicI64::new(0),
            writing: Mutex::new(None),
        }
    }

    /// Closes what an earlier process left open, and starts the writer of this store's journal. Once for each store.
    ///
    /// # Errors
    /// When the store can't be written.
    pub async fn start(store: &Arc<Store>) -> Result<Arc<Journal>, StoreError> {
        store.try_writing().await?;
        let left_open = store.close_left_open().await?;
        if left_open > 0 {
            tracing::warn!(
                rows = left_open,
                "closed as unknown what the last process left open"
            );
        }
        let journal = Arc::clone(store.journal());
        journal.queue.open();
        let writing = Writing::begin(Arc::clone(&journal), Arc::clone(store))?;
        *journal
            .writing
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(writing);
        Ok(journal)
    }

    /// Takes a row that is whole. Never waits: without room for it, it is dropped and counted.
    pub fn add(&self, row: JournalRow) {
        if self.queue.push(Entry::Row(Box::new(row))).is_err() {
            self.dropped.add(Class::Known, 1);
        }
    }

    /// Takes a row whose outcome is still to come, with the key that it claims, and waits until both are on disk.
    ///
    /// # Errors
    /// When there is no room for it, the store can't be written or takes too long. It is not in the journal then, or soon
    /// not any more, and what it speaks of must not be begun.
    pub async fn open(&self, row: JournalRow, claim: Option<Claim>) -> Result<Opened, StoreError> {
        let (told, written) = oneshot::channel();
        let pushed = self.queue.push(Entry::Open(Box::new(Opening {
            row: JournalRow { open: true, ..row },
            claim,
            told,
            obstacle: None,
        })));
        pushed.map_err(|_| StoreError::new("the journal has no room"))?;
        let mut opened = in_time(written).await?;
        if let Opened::Intent(intent) = &mut opened {
            intent.stage = Stage::Taken;
        }
        Ok(opened)
    }

    /// Waits until all that was taken before is on disk.
    ///
    /// # Errors
    /// When the store can't be written or takes too long.
    pub async fn flush(&self) -> Result<(), StoreError> {
        self.save_counts();
        self.flush_queue().await?;
        // A count that was being written may have grown before this began.
        if self.save_counts() > 0 {
            self.flush_queue().await?;
        }
        Ok(())
    }

    async fn flush_queue(&self) -> Result<(), StoreError> {
        let (told, written) = oneshot::channel();
        let pushed = self.queue.push(Entry::Flush(told));
        pushed.map_err(|_| StoreError::new("the journal has ended"))?;
        in_time(written).await
    }

    /// Writes what is left and ends; gives up on a store that can't be written.
    pub async fn stop(&self) {
        // Counts that were being written may have grown. Rows are written below in any case.
        if self.trouble().is_none() {
            let _ = self.flush().await;
        }
        self.save_counts();
        self.queue.close();
        let writing = self
            .writing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(mut writing) = writing else {
            return;
        };
        if timeout(STOP_MAX, &mut writing.ended).await.is_err() {
            tracing::error!(rows = self.queued(), "journal rows were lost at the end");
        }
    }

    /// Why the store can't be written right now, as far as the journal has noticed; `None` when it can.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.health.trouble(Instant::now())
    }

    /// Rows that are not on disk yet.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.rows()
    }

    /// Rows for which there was no room since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.sum()
    }

    /// Those of them of one class.
    #[must_use]
    pub fn dropped_of(&self, class: Class) -> u64 {
        self.dropped.of(class)
    }

    /// Rows of one class that were cleared since the start because of their room, before their retention was over.
    #[must_use]
    pub fn cleared_early(&self, class: Class) -> u64 {
        self.cleared_early.of(class)
    }

    pub(super) fn note_cleared_early(&self, class: Class) {
        self.cleared_early.add(class, 1);
    }

    pub(super) fn plain_cleared_to(&self) -> &AtomicI64 {
        &self.plain_cleared_to
    }

    #[cfg(test)]
    pub(super) fn queued_bytes(&self) -> usize {
        self.queue.bytes()
    }
}

impl Writing {
    /// Starts it. SQLite blocks whoever asks it, for as long as the disk likes; a thread of its own may be, and what wakes it
    /// wakes nobody in between.
    fn begin(journal: Arc<Journal>, store: Arc<Store>) -> Result<Writing, StoreError> {
        let (ends, ended) = oneshot::channel();
        let (goes_on, given_up) = oneshot::channel::<()>();
        let runtime = Handle::current();
        let write = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = write_all(&journal, &store) => {}
                    _ = given_up => {}
                }
            });
            drop(ends);
        };
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(write)?;
        Ok(Writing {
            ended,
            _goes_on: goes_on,
        })
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
        self.stage = Stage::Closed;
        // A place is always there; the queue takes outcomes even when it is closed.
        let _ = self
            .journal
            .queue
            .push(Entry::Close(self.id, Box::new(outcome)));
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        let queue = &self.journal.queue;
        match self.stage {
            // Nothing was begun. It takes the place that was kept for its outcome.
            Stage::Offered => drop(queue.push(Entry::Withdraw(self.id))),
            Stage::Taken => queue.forgo_outcome(),
            Stage::Closed => {}
        }
    }
}

/// Waits until the writer has told how it went.
async fn in_time<T>(written: oneshot::Receiver<Result<T, StoreError>>) -> Result<T, StoreError> {
    match timeout(WAIT_MAX, written).await {
        Ok(Ok(told)) => told,
        Ok(Err(_)) => Err(StoreError::new("the journal has ended")),
        Err(_) => Err(StoreError::new("the journal was not written in time")),
    }
}

/// Writes until the queue is closed and empty.
async fn write_all(journal: &Arc<Journal>, store: &Store) {
    let queue = &journal.queue;
    loop {
        gather(queue).await;
        let mut batch = queue.take();
        if batch.is_empty() {
            match queue.state() {
                (false, _, true) => return,
                // Whoever waited for it has given up.
                _ => continue,
            }
        }
        journal.health.begins(Instant::now());
        let written = store.write_journal(&mut batch).await;
        // Who is told how it went finds the journal's health as that says.
        judge(journal, &written);
        match written {
            Ok(()) => {
                queue.settle(&batch);
                acknowledge(journal, batch);
            }
            Err(error) => give_back(queue, batch, &error),
        }
        while journal.health.is_failing() {
            // Who waits gets a try of their own at once.
            let _ = timeout(RETRY_INTERVAL, queue.wake.notified()).await;
            if !queue.is_empty() {
                break;
            }
            // Nobody may come to a gateway that says that it is not ready.
            journal.health.begins(Instant::now());
            let written = store.try_writing().await;
            judge(journal, &written);
        }
    }
}

/// Puts a batch back that was not written, and tells those who wait.
fn give_back(queue: &Queue, batch: Vec<Entry>, error: &StoreError) {
    let failed = || StoreError::new(format!("the journal can't be written: {error}"));
    for waiting in queue.put_back(batch) {
        // Who has gone away meanwhile needs no answer.
        match waiting {
            Entry::Open(opening) => drop(opening.told.send(Err(failed()))),
            Entry::Flush(told) => drop(told.send(Err(failed()))),
            Entry::Row(_) | Entry::Counted(_) | Entry::Close(..) | Entry::Withdraw(_) => {}
        }
    }
}

/// Notes how a try to write went, and logs what is new about it.
fn judge(journal: &Journal, written: &Result<(), StoreError>) {
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
                let opened = match opening.obstacle {
                    Some(obstacle) => {
                        journal.queue.forgo_outcome();
                        Opened::Obstacle(obstacle)
                    }
                    None => Opened::Intent(Intent {
                        journal: Arc::clone(journal),
                        id: opening.row.id,
                        stage: Stage::Offered,
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
            Entry::Counted(counting) => counting.counted.written(counting.id, counting.calls),
            Entry::Row(_) | Entry::Withdraw(_) => {}
        }
    }
}

impl Store {
    /// Writes a batch in one transaction, and gives each row its number.
    async fn write_journal(&self, batch: &mut [Entry]) -> Result<(), StoreError> {
        let _turn = self.turn().await?;
        self.pen().write(batch)
    }

    /// Sees whether the journal can be written.
    async fn try_writing(&self) -> Result<(), StoreError> {
        let _turn = self.turn().await?;
        self.pen().try_writing()
    }

    async fn close_left_open(&self) -> Result<u64, StoreError> {
        let mut writer = self.writer().await?;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
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
