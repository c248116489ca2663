//! How many calls of a day each access has been given, as far as it has to outlive the process.

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
        self.write(move |transaction| {
            // Yesterday's stay, in case the clock is set back over midnight.
            let yesterday = today.saturating_sub(1);
            transaction.execute("DELETE FROM daily_counts WHERE day < ?", [yesterday])?;
            let mut counts = transaction.prepare("SELECT access, day, given FROM daily_counts")?;
            let counts = counts.query_map([], |row| {
                Ok(DailyCount {
                    access: row.get("access")?,
                    day: row.get("day")?,
                    given: row.get("given")?,
                })
            })?;
            Ok(counts.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Writes counts down as they stand there, all of them or none.
    ///
    /// # Errors
    /// When the store can't be written. Nothing has changed then.
    pub async fn put_daily_counts(&self, counts: &[DailyCount]) -> Result<(), StoreError> {
        let counts = counts.to_vec();
        self.write(move |transaction| {
            let mut put = transaction.prepare_cached(
                "INSERT INTO daily_counts (access, day, given) VALUES (?, ?, ?)
                 ON CONFLICT (access) DO UPDATE SET day = excluded.day, given = excluded.given",
            )?;
            for count in counts {
                put.execute((count.access, count.day, count.given))?;
            }
            Ok(())
        })
        .await
    }
}
