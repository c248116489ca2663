//! A lane: one connection that writes a part of the journal in batches. Entries that arrive during a statement form the next batch,
//! so that all entries that wait for a commit share it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::shared::LaneState;
use crate::StoreError;
use crate::journal::entry::{JournalEntry, Opening};
use crate::journal::outcome::reply_failed;
use crate::journal::parts::JournalPart;
use crate::postgres::error::PgError;
use crate::postgres::session::PgSession;

/// Maximum time that a row without a waiting caller waits for others to share its commit. A crash can lose the reads and rejections
/// of this time.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);

/// Maximum time that the outcome of a send without a key waits for others. A crash can leave the outcomes of this time unknown.
/// With this wait an outcome costs the database half as much as a separate commit.
const CLOSE_INTERVAL: Duration = Duration::from_millis(10);

/// Pauses between two attempts while the store can't be written. The pause is shorter for opens, because callers wait for them.
const RETRY_OPENS: Duration = Duration::from_millis(250);
const RETRY_OTHERS: Duration = Duration::from_secs(1);

/// The first and the longest time that a statement may take before its connection is dropped. Callers wait three seconds at most.
/// But a commit that waits for a standby continues after its client has left, and each dropped connection then occupies another one
/// of the database's connections.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(10);
const STATEMENT_TIMEOUT_MAX: Duration = Duration::from_secs(600);

/// Changes nothing, and fails if the database can't be written.
const TRY_WRITING: &str = "DELETE FROM chatgate.intents WHERE id = -1";

/// The writer of one part of the journal.
pub(super) struct LaneWriter {
    part: JournalPart,
    state: Arc<LaneState>,
    session: Option<PgSession>,
    statement_timeout: Duration,
    /// The latest time of the next batch or of the next attempt.
    due: Option<Instant>,
}

impl LaneWriter {
    pub(super) fn new(part: JournalPart, state: Arc<LaneState>) -> LaneWriter {
        LaneWriter {
            part,
            state,
            session: None,
            statement_timeout: STATEMENT_TIMEOUT,
            due: None,
        }
    }

    /// Writes forever.
    pub(super) async fn run(mut self) {
        loop {
            self.wait().await;
            let health = self.state.journal.health(self.part);
            health.begins(Instant::now());
            let written = self.write().await;
            if let Err(error) = &written {
                self.session = None;
                if error.is_timeout() {
                    self.statement_timeout =
                        (self.statement_timeout * 2).min(STATEMENT_TIMEOUT_MAX);
                }
                let pause = match self.part {
                    JournalPart::Opens => RETRY_OPENS,
                    JournalPart::Closes | JournalPart::Rows => RETRY_OTHERS,
                };
                self.due = Some(Instant::now() + pause);
            } else {
                self.statement_timeout = STATEMENT_TIMEOUT;
                self.due = None;
            }
        }
    }

    /// Waits until there is something to write and its time has come.
    async fn wait(&mut self) {
        let queue = &self.state.journal.queue;
        loop {
            let is_failing = self.state.journal.health(self.part).is_failing();
            let work = queue.work_of(self.part);
            let has_more = match self.part {
                JournalPart::Opens => self.state.has_unhandled_failover(),
                JournalPart::Closes => false,
                JournalPart::Rows => self.state.tallies.is_due(),
            };
            if !(work.has_entries || has_more || is_failing) {
                self.due = None;
                self.end_batch();
                queue.woken(self.part).await;
                continue;
            }
            let now = Instant::now();
            let delay = match self.part {
                JournalPart::Opens => Duration::ZERO,
                JournalPart::Closes => CLOSE_INTERVAL,
                JournalPart::Rows => FLUSH_INTERVAL,
            };
            let due = *self.due.get_or_insert(now + delay);
            if now >= due || (work.is_urgent && !is_failing) {
                return;
            }
            let until_due = due.saturating_duration_since(now);
            // The loop checks again, whether it was woken or not.
            let _ = tokio::time::timeout(until_due, queue.woken(self.part)).await;
        }
    }

    /// Writes a batch and replies to the callers that wait for it.
    async fn write(&mut self) -> Result<(), PgError> {
        let journal = Arc::clone(&self.state.journal);
        let mut session = match self.connected().await {
            Ok(session) => session,
            Err(error) => {
                let waiting = journal.queue.put_back_part(self.part, Vec::new());
                return Err(self.failed(error, waiting));
            }
        };
        let batch = journal.queue.take_part(self.part);
        if let Err((error, left)) = self.write_all(&mut session, batch).await {
            self.release_sends(&left, &error);
            let waiting = journal.queue.put_back_part(self.part, left);
            return Err(self.failed(error, waiting));
        }
        self.session = Some(session);
        self.end_batch();
        Ok(())
    }

    /// Returns the connection. On a new connection of the opens, first puts back known sends after a failover.
    async fn connected(&mut self) -> Result<PgSession, PgError> {
        let open = self.session.take().filter(PgSession::is_usable);
        let is_new = open.is_none();
        let mut session = match open {
            Some(session) => session,
            None => self.state.connector.connect().await?,
        };
        session.set_timeout(self.statement_timeout);
        if is_new {
            session.keep_plans().await?;
        }
        if is_new && self.part == JournalPart::Opens {
            self.state.after_failover(&mut session).await?;
        }
        Ok(session)
    }

    /// Writes a batch and replies to the callers that wait for it. If the database rejects a row, the batch is halved until that
    /// row is alone and can be dropped. Otherwise the other rows would never be written.
    ///
    /// # Errors
    /// The error, and the entries that are not written.
    async fn write_all(
        &self,
        session: &mut PgSession,
        batch: Vec<JournalEntry>,
    ) -> Result<(), (PgError, Vec<JournalEntry>)> {
        let journal = &self.state.journal;
        let mut left = vec![batch];
        while let Some(mut batch) = left.pop() {
            match self.write_batch(session, &mut batch).await {
                Ok(()) => {
                    // Judged before the replies, so that a caller with a reply finds the journal's health up to date.
                    journal.judge(self.part, &Ok(()));
                    journal.queue.settle(&batch);
                    self.keep(&mut batch);
                    journal.acknowledge(batch);
                }
                Err(error) if error.is_row_fault() && batch.len() > 1 => {
                    self.release_sends(&batch, &error);
                    left.push(batch.split_off(batch.len() / 2));
                    left.push(batch);
                }
                Err(error) if error.is_row_fault() && !batch.is_empty() => {
                    journal.judge(self.part, &Ok(()));
                    self.state.refuse(batch, &error);
                }
                Err(error) => {
                    let later = left.into_iter().rev().flatten();
                    batch.extend(later);
                    return Err((error, batch));
                }
            }
        }
        Ok(())
    }

    async fn write_batch(
        &self,
        session: &mut PgSession,
        batch: &mut [JournalEntry],
    ) -> Result<(), PgError> {
        let state = &self.state;
        match self.part {
            JournalPart::Rows if state.tallies.is_due() => state.add(session, batch).await,
            _ if batch.is_empty() => {
                if state.journal.health(self.part).is_failing() {
                    // A gateway that is not ready may get no calls, so no call would show that the store can be written again.
                    session.execute(TRY_WRITING, &[]).await?;
                }
                Ok(())
            }
            JournalPart::Opens => state.open(session, batch).await,
            JournalPart::Closes => state.close(session, batch).await,
            JournalPart::Rows => state.add(session, batch).await,
        }
    }

    /// Records a failure and replies to the waiting callers.
    fn failed(&self, error: PgError, waiting: Vec<JournalEntry>) -> PgError {
        let text = StoreError::new(error.to_string());
        reply_failed(waiting, &text);
        self.state.journal.judge(self.part, &Err(text));
        error
    }

    /// Gives up sends that will not begin. Their rows may exist already or appear later.
    fn release_sends(&self, batch: &[JournalEntry], error: &PgError) {
        for entry in batch {
            match entry {
                JournalEntry::Open(opening) if error.is_undone() => {
                    self.state.sends.end(opening.row.id)
                }
                JournalEntry::Open(opening) => {
                    self.state.sends.abandon(opening.row.id, Instant::now());
                }
                _ => {}
            }
        }
    }

    /// Keeps opened rows for their outcomes. A send begins only if, by this process's own clock, the lease has been valid and the
    /// data in memory current ever since the call began. Only then can no other replica have closed the row, and no access have been
    /// changed without waiting for this replica before the call was authorized.
    fn keep(&self, batch: &mut Vec<JournalEntry>) {
        if self.part != JournalPart::Opens {
            return;
        }
        for entry in batch.iter_mut() {
            if let JournalEntry::Open(opening) = entry
                && opening.obstacle.is_none()
            {
                let row = std::mem::take(&mut opening.row);
                opening.row.id = row.id;
                let claim = opening.claim.take();
                self.state.sends.keep(Box::new(row), claim);
            }
        }
        let (lease, now) = (&self.state.lease, Instant::now());
        let is_replicated = self.state.primary.is_replicated();
        let reason = if is_replicated {
            "this replica's lease has expired or its data is out of date"
        } else {
            "no standby has confirmed the write"
        };
        let error = StoreError::new(reason);
        let may_not_begin =
            |opening: &Opening| !is_replicated || !lease.is_valid_since(opening.since, now);
        let refused = |entry: &mut JournalEntry| matches!(entry, JournalEntry::Open(opening) if opening.obstacle.is_none() && may_not_begin(opening));
        for opened in batch.extract_if(.., refused) {
            if let JournalEntry::Open(opening) = &opened {
                self.state.journal.queue.withdraw(opening.row.id);
            }
            reply_failed(vec![opened], &error);
        }
    }

    /// Replies to the callers of flushes that wait until everything before them is written.
    fn end_batch(&self) {
        for flush in self.state.journal.queue.end_batch(self.part) {
            let _ = flush.send(Ok(()));
        }
    }
}
