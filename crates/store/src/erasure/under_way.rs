//! Rows that may still be written about a destination during its erasure: outcomes of sends under way, and rows that wait in
//! queues.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::journal::query::LATE_MS;
use crate::journal::row::first_id_at;
use crate::memory::COUNT_HOLDS;
use crate::store::Engine;
use crate::{Store, StoreError};

/// Maximum wait for sends under way. It is longer than a send with retries takes.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// Pause between two checks for these sends. Within this time this process queues the row of a send that it has admitted.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Events that were deleted before the wait for other replicas are in no replica's memory after it.
const _: () = assert!(COUNT_HOLDS.as_millis() <= LATE_MS.unsigned_abs() as u128);

/// Rows that may still be written after the beginning of an erasure.
pub(super) struct PendingRows {
    began: Instant,
    /// The time after the beginning at which the sends that had been admitted have their rows.
    late: Duration,
    /// An id that none of these rows is below.
    first: i64,
}

impl PendingRows {
    /// Returns the id beyond which all these rows are.
    pub(super) fn beyond(&self) -> i64 {
        self.first - 1
    }

    fn note(&mut self, sends: &[i64]) {
        self.first = sends.iter().copied().fold(self.first, i64::min);
    }
}

impl Store {
    /// Reads which rows may still be written.
    pub(super) async fn pending_rows(&self, now_ms: i64) -> Result<PendingRows, StoreError> {
        let began = Instant::now();
        let (now_ms, has_others) = match self.engine() {
            Engine::Sqlite(_) => (now_ms, false),
            Engine::Postgres(postgres) => (
                postgres.lease().database_ms(now_ms),
                postgres.has_others().await?,
            ),
        };
        let late = Duration::from_millis(LATE_MS.unsigned_abs());
        let mut coming = PendingRows {
            began,
            late: if has_others { late } else { POLL_INTERVAL },
            first: first_id_at(now_ms - LATE_MS),
        };
        coming.note(&self.sends_under_way().await?);
        Ok(coming)
    }

    /// Waits until these rows have been written.
    ///
    /// # Errors
    /// When the store can't be read or written, or sends take too long.
    pub(super) async fn wait_for(&self, coming: &mut PendingRows) -> Result<(), StoreError> {
        sleep(coming.late.saturating_sub(coming.began.elapsed())).await;
        self.journal().flush().await?;
        // Includes sends that had been admitted at the beginning and whose rows were not written yet.
        let mut left = self.sends_under_way().await?;
        coming.note(&left);
        let (newest, asked) = (left.iter().copied().max(), Instant::now());
        while !left.is_empty() {
            if asked.elapsed() > WAIT_MAX {
                return Err(StoreError::new(format!(
                    "{} sends were under way during the whole erasure and may contain the destination: erase it again after \
                     they have ended",
                    left.len()
                )));
            }
            sleep(POLL_INTERVAL).await;
            left = self.sends_under_way().await?;
            left.retain(|send| Some(*send) <= newest);
        }
        Ok(())
    }

    /// Returns the numbers of the rows of sends in progress, which get their outcomes later.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn sends_under_way(&self) -> Result<Vec<i64>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.sends_under_way().await,
            Engine::Postgres(postgres) => postgres.sends_under_way().await,
        }
    }
}
