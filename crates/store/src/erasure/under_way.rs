//! Rows that may still be written about a destination during its erasure: outcomes of sends under way, and rows that wait in
//! queues.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::journal::query::LATE_MS;
use crate::journal::row::first_id_at;
use crate::memory::COUNT_HOLDS;
use crate::store::Engine;
use crate::{ErasureError, Store, StoreError};

/// Maximum wait for sends under way, and for rows of other replicas. It is longer than a send with retries takes.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// Pause between two checks for these sends. Within this time this process queues the row of a send that it has admitted.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Maximum error, in milliseconds, of the time by the database's clock at which a replica has written its rows.
const CLOCK_ERROR_MS: i64 = 2000;

/// Events that were deleted before the wait for other replicas are in no replica's memory after it.
const _: () = assert!(COUNT_HOLDS.as_millis() <= LATE_MS.unsigned_abs() as u128);

/// The replicas that share the store with this process.
#[derive(Debug, Default)]
pub(crate) struct OtherReplicas {
    /// The names of the live replicas, each with the time before which all its rows are written: milliseconds since 1970 by the
    /// database's clock, or `None` if the replica does not report it.
    pub(crate) live: Vec<(String, Option<i64>)>,
    /// True if a replica has ended within the last seconds.
    pub(crate) has_ended: bool,
    /// The names of replicas that lost their leases within the last minutes and have not announced their ends. They may have rows in
    /// memory, which they write when they reach the database again.
    pub(crate) silent: Vec<String>,
}

/// Rows that may still be written after the beginning of an erasure.
pub(super) struct PendingRows {
    began: Instant,
    /// The time of the beginning; milliseconds since 1970, by the database's clock if the store is shared.
    began_ms: i64,
    /// The time after the beginning at which the sends that had been admitted have their rows.
    late: Duration,
    /// An id that none of these rows is below.
    first: i64,
    /// The names of replicas that may write rows after the erasure.
    silent: BTreeSet<String>,
}

impl PendingRows {
    /// Returns the id beyond which all these rows are.
    pub(super) fn beyond(&self) -> i64 {
        self.first - 1
    }

    fn note(&mut self, sends: &[i64]) {
        self.first = sends.iter().copied().fold(self.first, i64::min);
    }

    /// Returns the names of the live replicas that may still have rows from before the beginning in memory.
    fn unwritten(&self, live: Vec<(String, Option<i64>)>) -> Vec<String> {
        let is_behind = |written_to_ms: i64| written_to_ms < self.began_ms + CLOCK_ERROR_MS;
        let behind = live.into_iter();
        behind
            .filter(|(_, written_to_ms)| written_to_ms.is_some_and(is_behind))
            .map(|(name, _)| name)
            .collect()
    }

    /// Fails if a replica may write rows after the erasure.
    fn check_silent(&self) -> Result<(), ErasureError> {
        if self.silent.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = self.silent.iter().map(String::as_str).collect();
        Err(ErasureError::Incomplete(format!(
            "These replicas did not write all their rows to the database during the erasure, and may still write rows about the \
             destination: {}. Erase it again when they are back, or ten minutes after their end.",
            names.join(", ")
        )))
    }
}

impl Store {
    /// Reads which rows may still be written.
    pub(super) async fn pending_rows(&self, now_ms: i64) -> Result<PendingRows, StoreError> {
        let began = Instant::now();
        let began_ms = match self.engine() {
            Engine::Sqlite(_) => now_ms,
            Engine::Postgres(postgres) => postgres.lease().database_ms(now_ms),
        };
        let others = self.other_replicas().await?;
        let has_others = others.has_ended || !others.live.is_empty();
        let late = Duration::from_millis(LATE_MS.unsigned_abs());
        let written = others.live.iter().filter_map(|(_, to_ms)| *to_ms);
        let oldest_ms = written.fold(began_ms - LATE_MS, |oldest, to_ms| {
            oldest.min(to_ms - CLOCK_ERROR_MS)
        });
        let mut coming = PendingRows {
            began,
            began_ms,
            late: if has_others { late } else { POLL_INTERVAL },
            first: first_id_at(oldest_ms),
            silent: others.silent.into_iter().collect(),
        };
        coming.note(&self.sends_under_way().await?);
        Ok(coming)
    }

    /// Waits until these rows have been written.
    ///
    /// # Errors
    /// When the store can't be read or written, sends or other replicas take too long, or a replica does not reach the store.
    pub(super) async fn wait_for(&self, coming: &mut PendingRows) -> Result<(), ErasureError> {
        sleep(coming.late.saturating_sub(coming.began.elapsed())).await;
        self.journal().flush().await?;
        self.wait_for_others(coming).await?;
        // Includes sends that had been admitted at the beginning and whose rows were not written yet.
        let mut left = self.sends_under_way().await?;
        coming.note(&left);
        let (newest, asked) = (left.iter().copied().max(), Instant::now());
        while !left.is_empty() {
            if asked.elapsed() > WAIT_MAX {
                return Err(ErasureError::Incomplete(format!(
                    "{} sends were under way during the whole erasure and may contain the destination. Erase it again after \
                     they have ended.",
                    left.len()
                )));
            }
            sleep(POLL_INTERVAL).await;
            left = self.sends_under_way().await?;
            left.retain(|send| Some(*send) <= newest);
        }
        coming.check_silent()
    }

    /// Waits until the other replicas have written their rows or lost their leases.
    async fn wait_for_others(&self, coming: &mut PendingRows) -> Result<(), StoreError> {
        let asked = Instant::now();
        loop {
            let others = self.other_replicas().await?;
            coming.silent.extend(others.silent);
            let unwritten = coming.unwritten(others.live);
            if unwritten.is_empty() {
                return Ok(());
            }
            if asked.elapsed() > WAIT_MAX {
                coming.silent.extend(unwritten);
                return Ok(());
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    async fn other_replicas(&self) -> Result<OtherReplicas, StoreError> {
        match self.engine() {
            Engine::Sqlite(_) => Ok(OtherReplicas::default()),
            Engine::Postgres(postgres) => postgres.other_replicas().await,
        }
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
