//! Counts calls in SQLite.

use crate::journal::row::first_id_at;
use crate::sqlite::store::SqliteStore;
use crate::{StoreError, Tally};

impl SqliteStore {
    pub(crate) async fn tally(
        &self,
        (since_ms, until_ms): (i64, i64),
        so_far: Tally,
        count_max: u32,
    ) -> Result<(Tally, bool), StoreError> {
        let after = so_far.last.max(first_id_at(since_ms) - 1);
        self.read(move |connection| {
            let mut counted = connection.prepare_cached(
                "SELECT count(*) AS seen, max(id) AS last, sum(count * (kind = 'request')) AS calls,
                 sum(count * (kind = 'request' AND canonical IS NOT NULL AND canonical >= 500 AND upstream_code IS NULL)) AS failed
                 FROM (SELECT id, kind, canonical, upstream_code, count FROM journal WHERE id > ? AND id < ? ORDER BY id LIMIT ?)",
            )?;
            let counted = counted.query_row((after, first_id_at(until_ms), count_max), |row| {
                let count = |name| -> rusqlite::Result<u64> {
                    Ok(row.get::<_, Option<i64>>(name)?.unwrap_or(0).unsigned_abs())
                };
                let tally = Tally {
                    calls: so_far.calls + count("calls")?,
                    failed: so_far.failed + count("failed")?,
                    last: row.get::<_, Option<_>>("last")?.unwrap_or(so_far.last),
                };
                Ok((tally, count("seen")? < u64::from(count_max)))
            })?;
            Ok(counted)
        })
        .await
    }
}
