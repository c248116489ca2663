//! Reads the journal in SQLite.

use rusqlite::params_from_iter;

use super::page::{index, last_examined, page};
use super::{address, sql};
use crate::journal::filter::{RowDetail, after};
use crate::sqlite::store::SqliteStore;
use crate::{
    FoundRows, JournalFilter, JournalOrder, JournalRow, LimitCall, ReplayCall, StoreError,
};

impl SqliteStore {
    pub(crate) async fn limit_calls(
        &self,
        (access, with_destinations): (&str, bool),
        (since_ms, beyond): (i64, i64),
        count_max: u32,
    ) -> Result<Vec<LimitCall>, StoreError> {
        let (access, after) = (access.to_owned(), after(since_ms, beyond));
        self.read(move |connection| {
            let mut calls = connection.prepare_cached(
                "SELECT id, method, code, upstream_code IS NOT NULL AS is_upstreams, count,
                 coalesce(queue_us, 0) + upstream_us AS held_us, (SELECT destination FROM journal_payload WHERE ? AND journal_payload.id = journal.id) AS destination
                 FROM journal WHERE access = ? AND id > ? AND kind = 'request'
                 AND (coalesce(code, '') NOT IN ('ACCESS_DISABLED', 'IP_NOT_ALLOWED') OR upstream_code IS NOT NULL)
                 ORDER BY id LIMIT ?",
            )?;
            let wanted = (with_destinations, access, after, count_max);
            let calls = calls.query_map(wanted, |row| {
                Ok(LimitCall {
                    id: row.get("id")?,
                    method: row.get("method")?,
                    code: row.get("code")?,
                    is_upstreams: row.get("is_upstreams")?,
                    held_us: row.get("held_us")?,
                    destination: row.get("destination")?,
                    count: row.get::<_, i64>("count")?.unsigned_abs(),
                })
            })?;
            Ok(calls.collect::<Result<_, _>>()?)
        })
        .await
    }

    pub(crate) async fn journal_page(
        &self,
        filter: &JournalFilter,
        (order, beyond): (JournalOrder, Option<i64>),
        (count_max, detail): (u32, RowDetail),
    ) -> Result<FoundRows, StoreError> {
        let filter = filter.clone();
        self.read(move |connection| {
            let mut ids = filter.ids(order, beyond);
            let index = index(connection, &filter, ids)?;
            let last = last_examined(connection, (&filter, index), ids, order)?;
            if let Some(last) = last {
                ids = order.up_to(last, ids);
            }
            let (select, read) = sql::of(detail);
            let query = page((select, &filter, index), ids, order, count_max);
            let mut rows = connection.prepare(&query.sql)?;
            let mut rows = rows.query(params_from_iter(query.values))?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(read(row)?);
            }
            Ok(FoundRows::new(found, count_max, last))
        })
        .await
    }

    pub(crate) async fn replay_calls(
        &self,
        access: &str,
        (since_ms, beyond): (i64, i64),
        count_max: u32,
    ) -> Result<Vec<ReplayCall>, StoreError> {
        let (access, after) = (access.to_owned(), after(since_ms, beyond));
        self.read(move |connection| {
            // The state of an access is checked before its networks, so that a call with this code never reached its networks.
            let mut rows = connection.prepare_cached(
                "SELECT id, client, request_id, caller_request_id, method, code, upstream_code IS NOT NULL AS is_upstreams, count
                 FROM journal WHERE access = ? AND id > ? AND kind = 'request'
                 AND (code IS NOT 'ACCESS_DISABLED' OR upstream_code IS NOT NULL) AND client IS NOT NULL
                 ORDER BY id LIMIT ?",
            )?;
            let mut rows = rows.query((access, after, count_max))?;
            let mut calls = Vec::new();
            while let Some(row) = rows.next()? {
                let client = row.get_ref("client")?.as_blob().unwrap_or_default();
                calls.push(ReplayCall {
                    id: row.get("id")?,
                    client: address::from_bytes(client).ok_or_else(|| {
                        StoreError::new("a journal row has an unreadable address")
                    })?,
                    request_id: row.get::<_, Option<_>>("request_id")?.unwrap_or_default(),
                    caller_request_id: row.get("caller_request_id")?,
                    method: row.get("method")?,
                    code: row.get("code")?,
                    is_upstreams: row.get("is_upstreams")?,
                    count: row.get::<_, i64>("count")?.unsigned_abs(),
                });
            }
            Ok(calls)
        })
        .await
    }

    pub(crate) async fn newest_row(&self) -> Result<i64, StoreError> {
        self.read(|connection| {
            let newest = "SELECT coalesce(max(id), 0) FROM journal";
            Ok(connection.query_row(newest, [], |row| row.get(0))?)
        })
        .await
    }

    pub(crate) async fn journal_row(&self, id: i64) -> Result<Option<JournalRow>, StoreError> {
        self.read(move |connection| {
            let query = format!("{} WHERE j.id = ?", *sql::SELECT);
            let mut rows = connection.prepare_cached(&query)?;
            let mut rows = rows.query([id])?;
            rows.next()?.map(sql::read).transpose()
        })
        .await
    }
}
