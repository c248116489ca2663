//! Counts recent calls of accesses in SQLite.

use crate::journal::row::first_id_at;
use crate::sqlite::store::SqliteStore;
use crate::{AccessCalls, StoreError};

/// The limit is in the inner query, so that it also counts rows that are not calls.
const CALLS: &str = "SELECT count(*) AS seen, sum(count * (kind = 'request')) AS calls,
     sum(count * (kind = 'request' AND code IS NOT NULL)) AS failed
     FROM (SELECT kind, code, count FROM journal WHERE access = ? AND id >= ? ORDER BY id DESC LIMIT ?)";

impl SqliteStore {
    pub(crate) async fn access_calls(
        &self,
        accesses: &[&str],
        since_ms: i64,
        rows_max: u32,
    ) -> Result<Vec<AccessCalls>, StoreError> {
        let accesses: Vec<String> = accesses.iter().copied().map(str::to_owned).collect();
        self.read(move |connection| {
            let mut calls = connection.prepare_cached(CALLS)?;
            let of_each = accesses.iter().map(|access| {
                let of_access = (access, first_id_at(since_ms), rows_max);
                calls.query_row(of_access, |row| {
                    let count = |name| -> rusqlite::Result<u64> {
                        Ok(row.get::<_, Option<i64>>(name)?.unwrap_or(0).unsigned_abs())
                    };
                    Ok(AccessCalls {
                        calls: count("calls")?,
                        failed: count("failed")?,
                        is_cut: count("seen")? >= u64::from(rows_max),
                    })
                })
            });
            Ok(of_each.collect::<Result<_, _>>()?)
        })
        .await
    }
}
