//! How many calls of a day each access has been given, as far as it has to outlive the process.

use sqlx::{Connection, Row};

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
        // Yesterday's stay, in case the clock is set back over midnight.
        sqlx::query("DELETE FROM daily_counts WHERE day < ?")
            .bind(today.saturating_sub(1))
            .execute(&mut *self.writer().await?)
            .await?;
        let rows = sqlx::query("SELECT access, day, given FROM daily_counts")
            .fetch_all(&mut *self.writer().await?)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(DailyCount {
                    access: row.try_get("access")?,
                    day: row.try_get("day")?,
                    given: row.try_get("given")?,
                })
            })
            .collect()
    }

    /// Writes counts down as they stand there, all of them or none.
    ///
    /// # Errors
    /// When the store can't be written. Nothing has changed then.
    pub async fn put_daily_counts(&self, counts: &[DailyCount]) -> Result<(), StoreError> {
        let mut writer = self.writer().await?;
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
        for count in counts {
            sqlx::query(
                "INSERT INTO daily_counts (access, day, given) VALUES (?, ?, ?)
                 ON CONFLICT (access) DO UPDATE SET day = excluded.day, given = excluded.given",
            )
            .bind(&count.access)
            .bind(count.day)
            .bind(count.given)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
