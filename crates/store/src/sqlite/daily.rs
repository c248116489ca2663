//! Counts of a day.

use super::store::SqliteStore;
use crate::{DailyCount, StoreError};

impl SqliteStore {
    pub(crate) async fn daily_counts(&self, today: u32) -> Result<Vec<DailyCount>, StoreError> {
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

    pub(crate) async fn put_daily_counts(&self, counts: &[DailyCount]) -> Result<(), StoreError> {
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
