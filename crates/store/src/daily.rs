//! How many calls of a day each access has been given, as far as it has to outlive the process.

use crate::store::Engine;
use crate::{Store, StoreError};

/// The calls of one access on one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DailyCount {
    /// The access's name.
    pub access: String,
    /// Days since 1970, UTC.
    pub day: u32,
    /// How many calls it has been given, those set aside included.
    pub given: u32,
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

    /// Writes counts down as they stand there, all of them or none.
    ///
    /// # Errors
    /// When the store can't be written. Nothing has changed then.
    pub async fn put_daily_counts(&self, counts: &[DailyCount]) -> Result<(), StoreError> {
        match self.engine() {
            Engine::Sqlite(sqlite) => sqlite.put_daily_counts(counts).await,
            Engine::Postgres(postgres) => postgres.put_daily_counts(counts).await,
        }
    }
}
