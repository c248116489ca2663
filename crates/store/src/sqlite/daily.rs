//! Daily counts of calls in SQLite.

use rusqlite::OptionalExtension;

use super::store::SqliteStore;
use crate::{DailyBlock, DailyCount, StoreError};

impl SqliteStore {
    pub(crate) async fn daily_counts(&self, today: u32) -> Result<Vec<DailyCount>, StoreError> {
        self.write(move |transaction| {
            // Yesterday's counts are kept, in case the clock is set back over midnight.
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

    pub(crate) async fn take_daily_block(
        &self,
        access: &str,
        day: u32,
        calls_and_limit: (u32, u32),
    ) -> Result<DailyBlock, StoreError> {
        let access = access.to_owned();
        self.write(move |transaction| {
            let known = "SELECT day, given FROM daily_counts WHERE access = ?";
            let mut known = transaction.prepare_cached(known)?;
            let known = known.query_row([&access], |row| Ok((row.get(0)?, row.get(1)?)));
            let block = DailyBlock::after(known.optional()?, day, calls_and_limit);
            let mut put = transaction.prepare_cached(
                "INSERT INTO daily_counts (access, day, given) VALUES (?, ?, ?)
                 ON CONFLICT (access) DO UPDATE SET day = excluded.day, given = excluded.given",
            )?;
            put.execute((access, block.day, block.given))?;
            Ok(block)
        })
        .await
    }

    pub(crate) async fn return_daily_calls(&self, unused: &[DailyCount]) -> Result<(), StoreError> {
        let unused = unused.to_vec();
        self.write(move |transaction| {
            let mut take_back = transaction.prepare_cached(
                "UPDATE daily_counts SET given = max(given - ?, 0) WHERE access = ? AND day = ?",
            )?;
            for count in unused {
                take_back.execute((count.given, count.access, count.day))?;
            }
            Ok(())
        })
        .await
    }
}
