//! The daily counts of calls for each access, as far as they must outlive the process.

use crate::store::Engine;
use crate::{Store, StoreError};

/// The number of calls of one access on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DailyCount {
    /// The name of the access.
    pub access: String,
    /// Days since 1970, UTC.
    pub day: u32,
    /// The number of calls granted, including calls that a process has reserved and not made yet.
    pub given: u32,
}

/// A block of calls of one day that a process may admit without asking the store again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DailyBlock {
    /// Days since 1970, UTC: the requested day, or the next day if that day had begun before the clock was set back.
    pub day: u32,
    /// The number of calls in the block.
    pub calls: u32,
    /// The number of calls granted to the access on that day so far, including this block.
    pub given: u32,
}

impl DailyBlock {
    /// Returns the next block after the stored count, with at most `calls` calls and at most the rest of `per_day`. A stored count
    /// of a day beyond tomorrow is ignored because a wrong clock wrote it.
    pub(crate) fn after(
        known: Option<(u32, u32)>,
        day: u32,
        (calls, per_day): (u32, u32),
    ) -> DailyBlock {
        let is_near = |known: &(u32, u32)| known.0 == day || known.0 == day.saturating_add(1);
        let (day, before) = known.filter(is_near).unwrap_or((day, 0));
        let calls = calls.min(per_day.saturating_sub(before));
        DailyBlock {
            day,
            calls,
            given: before + calls,
        }
    }
}

impl Store {
    /// Returns all counts that may still matter on this day, and deletes the other counts.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn daily_counts(&self, today: u32) -> Result<Vec<DailyCount>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.daily_counts(today).await,
            Engine::Postgres(postgres) => postgres.daily_counts(today).await,
        }
    }

    /// Grants an access at most this number of further calls of a day, so that the calls granted on that day, including those
    /// granted to other processes, do not exceed the limit. The calls count from now on, even if they are not made.
    ///
    /// # Errors
    /// When the store can't be written. The calls must not be used then, because the grant is uncertain; they may count
    /// nevertheless.
    pub async fn take_daily_block(
        &self,
        access: &str,
        day: u32,
        calls_and_limit: (u32, u32),
    ) -> Result<DailyBlock, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.take_daily_block(access, day, calls_and_limit).await,
            Engine::Postgres(postgres) => {
                postgres
                    .take_daily_block(access, day, calls_and_limit)
                    .await
            }
        }
    }

    /// Takes back calls that were granted and not made: all of them or none.
    ///
    /// # Errors
    /// When the store can't be written. The calls then count as made.
    pub async fn return_daily_calls(&self, unused: &[DailyCount]) -> Result<(), StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.return_daily_calls(unused).await,
            Engine::Postgres(postgres) => postgres.return_daily_calls(unused).await,
        }
    }
}
