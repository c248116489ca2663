//! How many calls of a day each access has been given, as far as it has to outlive the process.

use crate::store::Engine;
use crate::{Store, StoreError};

/// Calls of one access on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DailyCount {
    /// The access's name.
    pub access: String,
    /// Days since 1970, UTC.
    pub day: u32,
    /// How many calls it has been given, those set aside included.
    pub given: u32,
}

/// Calls of a day that somebody may let through without asking again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DailyBlock {
    /// Days since 1970, UTC: the day that was asked for, or the next one if that has begun by a clock that was set back since.
    pub day: u32,
    /// How many they are.
    pub calls: u32,
    /// How many the access has been given on that day by now, these included.
    pub given: u32,
}

impl DailyBlock {
    /// The block that follows on what is known, with at most so many calls and no more than the day may have. What is known of
    /// a day beyond tomorrow was written by a clock that was wrong.
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
    /// All counts that may still matter on a day, and forgets the others.
    ///
    /// # Errors
    /// When the store can't do it.
    pub async fn daily_counts(&self, today: u32) -> Result<Vec<DailyCount>, StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.daily_counts(today).await,
            Engine::Postgres(postgres) => postgres.daily_counts(today).await,
        }
    }

    /// Gives an access at most so many further calls of a day, as far as its calls of the day, those that others were given
    /// included, do not become more than its limit. They count from now on, made or not.
    ///
    /// # Errors
    /// When the store can't be written. What is not known to be given must not be used, and may count all the same.
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

    /// Takes back calls that were given and not made, all of them or none.
    ///
    /// # Errors
    /// When the store can't be written. They count as made then.
    pub async fn return_daily_calls(&self, unused: &[DailyCount]) -> Result<(), StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.return_daily_calls(unused).await,
            Engine::Postgres(postgres) => postgres.return_daily_calls(unused).await,
        }
    }
}
