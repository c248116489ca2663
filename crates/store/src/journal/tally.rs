//! Counting calls without holding anybody up: a piece of the journal at a time, from where the last piece ended.

use sqlx::Row;

use super::first_id_at;
use crate::{Store, StoreError};

/// Calls so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests that were answered.
    pub calls: u64,
    /// Those of them that ended with a status of 500 or more.
    pub failed: u64,
    /// The number of the last row that was looked at.
    last: i64,
}

impl Store {
    /// Goes on counting requests between two times, in milliseconds since 1970, UTC, over at most so many rows. Says whether
    /// there are no more.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn tally(
        &self,
        (since_ms, until_ms): (i64, i64),
        so_far: Tally,
        count_max: u32,
    ) -> Result<(Tally, bool), StoreError> {
        let row = sqlx::query(
            "SELECT count(*) AS seen, max(id) AS last, sum(count * (kind = 'request')) AS calls,
             sum(count * (kind = 'request' AND canonical IS NOT NULL AND canonical >= 500)) AS failed
             FROM (SELECT id, kind, canonical, count FROM journal WHERE id > ? AND id < ? ORDER BY id LIMIT ?)",
        )
        .bind(so_far.last.max(first_id_at(since_ms) - 1))
        .bind(first_id_at(until_ms))
        .bind(count_max)
        .fetch_one(self.reader())
        .await?;
        let count = |name| -> Result<u64, StoreError> {
            let count: Option<i64> = row.try_get(name)?;
            Ok(count.unwrap_or(0).unsigned_abs())
        };
        let last: Option<i64> = row.try_get("last")?;
        let tally = Tally {
            calls: so_far.calls + count("calls")?,
            failed: so_far.failed + count("failed")?,
            last: last.unwrap_or(so_far.last),
        };
        Ok((tally, count("seen")? < u64::from(count_max)))
    }

    /// The number of the newest row; 0 when there is none.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn newest_row(&self) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT coalesce(max(id), 0) FROM journal");
        Ok(row.fetch_one(self.reader()).await?.try_get(0)?)
    }

    /// The row with this number, if it is there.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn journal_row(&self, id: i64) -> Result<Option<super::JournalRow>, StoreError> {
        let query = format!("{} WHERE j.id = ?", super::sql::SELECT);
        let found = sqlx::query(sqlx::AssertSqlSafe(query)).bind(id);
        let found = found.fetch_optional(self.reader()).await?;
        found.as_ref().map(super::sql::read).transpose()
    }
}
