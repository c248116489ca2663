//! Reads the journal over all replicas.

use std::net::IpAddr;

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::columns::{SELECT, read, read_brief};
use super::open_row::OpenRow;
use super::page::PageQuery;
use super::tallies::minute_from;
use crate::journal::filter::{RowDetail, after};
use crate::postgres::error::PgError;
use crate::postgres::session::Value;
use crate::postgres::store::PostgresStore;
use crate::{
    FoundRows, JournalFilter, JournalOrder, JournalRow, LimitCall, ReplayCall, StoreError, Tally,
};

/// Selects the calls of an access that were not rejected for its state or its networks. Sends under way are not included yet.
const LIMIT_CALLS: &str = "SELECT id, method, code, upstream_code IS NOT NULL AS is_upstreams, count, coalesce(queue_us, 0) + upstream_us AS held_us,
        CASE WHEN $1 THEN (SELECT destination FROM chatgate.journal_payload p WHERE p.id = j.id) END AS destination
    FROM chatgate.journal j WHERE access = $2 AND id > $3 AND kind = 'request'
        AND (coalesce(code, '') NOT IN ('ACCESS_DISABLED', 'IP_NOT_ALLOWED') OR upstream_code IS NOT NULL)
    ORDER BY id LIMIT $4";

/// Selects the calls of an access that were checked against its networks. The state of the access is checked before, so calls
/// rejected for the state are left out.
const REPLAY_CALLS: &str = "SELECT id, client, request_id, caller_request_id, method, code, upstream_code IS NOT NULL AS is_upstreams,
        count
    FROM chatgate.journal WHERE access = $1 AND id > $2 AND kind = 'request'
        AND (code IS DISTINCT FROM 'ACCESS_DISABLED' OR upstream_code IS NOT NULL) AND client IS NOT NULL
    ORDER BY id LIMIT $3";

const NEWEST: &str = "SELECT greatest((SELECT max(id) FROM chatgate.journal), (SELECT max(id) FROM chatgate.intents), 0) AS newest";

const TALLY: &str =
    "SELECT coalesce(sum(calls), 0)::bigint AS calls, coalesce(sum(failed), 0)::bigint AS failed
    FROM chatgate.tallies WHERE minute >= $1 AND minute < $2";

impl PostgresStore {
    pub(crate) async fn limit_calls(
        &self,
        (access, with_destinations): (&str, bool),
        (since_ms, beyond): (i64, i64),
        count_max: u32,
    ) -> Result<Vec<LimitCall>, StoreError> {
        let (after, most) = (after(since_ms, beyond), i64::from(count_max));
        let values: [Value<'_>; 4] = [
            (&with_destinations, Type::BOOL),
            (&access, Type::TEXT),
            (&after, Type::INT8),
            (&most, Type::INT8),
        ];
        let rows = self.pool().read(LIMIT_CALLS, &values).await?;
        let call = |row: &Row| -> Result<LimitCall, PgError> {
            Ok(LimitCall {
                id: row.try_get("id")?,
                method: row.try_get("method")?,
                code: row.try_get("code")?,
                is_upstreams: row.try_get("is_upstreams")?,
                held_us: row.try_get("held_us")?,
                destination: row.try_get("destination")?,
                count: row.try_get::<_, i64>("count")?.unsigned_abs(),
            })
        };
        Ok(rows.iter().map(call).collect::<Result<_, _>>()?)
    }

    pub(crate) async fn journal_page(
        &self,
        filter: &JournalFilter,
        (order, beyond): (JournalOrder, Option<i64>),
        (count_max, detail): (u32, RowDetail),
    ) -> Result<FoundRows, StoreError> {
        let mut ids = filter.ids(order, beyond);
        let last = self.last_examined(filter, ids, order).await?;
        if let Some(last) = last {
            ids = order.up_to(last, ids);
        }
        let query = PageQuery::of(filter, ids, order, (count_max, detail));
        let read = match detail {
            RowDetail::Whole | RowDetail::WithoutAnswer => read,
            RowDetail::Brief => read_brief,
        };
        let found = self.pool().read(&query.sql, &query.values()).await?;
        let mut rows = Vec::with_capacity(found.len());
        for row in &found {
            match row.try_get("open_row").map_err(PgError::from)? {
                None => rows.push(read(row)?),
                Some(text) => {
                    let id = row.try_get("id").map_err(PgError::from)?;
                    let open = OpenRow::read(text, id);
                    rows.extend(open.filter(|row| filter.matches(row)));
                }
            }
        }
        match order {
            JournalOrder::NewestFirst => rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.id)),
            JournalOrder::OldestFirst => rows.sort_unstable_by_key(|row| row.id),
        }
        rows.truncate(count_max as usize);
        Ok(FoundRows::new(rows, count_max, last))
    }

    /// Returns the last row that a page examines, or `None` when so few rows meet a condition that all of them are examined.
    async fn last_examined(
        &self,
        filter: &JournalFilter,
        ids: (i64, i64),
        order: JournalOrder,
    ) -> Result<Option<i64>, StoreError> {
        let Some(query) = PageQuery::last_examined(filter, ids, order) else {
            return Ok(None);
        };
        let found = self.pool().read(&query.sql, &query.values()).await?;
        let Some(row) = found.first() else {
            return Ok(None);
        };
        let each = (0..row.len()).map(|at| row.try_get(at));
        let each: Vec<Option<i64>> = each.collect::<Result<_, _>>().map_err(PgError::from)?;
        let each: Option<Vec<i64>> = each.into_iter().collect();
        // The condition with the fewest rows reaches furthest.
        Ok(each.and_then(|each| match order {
            JournalOrder::NewestFirst => each.into_iter().min(),
            JournalOrder::OldestFirst => each.into_iter().max(),
        }))
    }

    pub(crate) async fn replay_calls(
        &self,
        access: &str,
        (since_ms, beyond): (i64, i64),
        count_max: u32,
    ) -> Result<Vec<ReplayCall>, StoreError> {
        let (after, most) = (after(since_ms, beyond), i64::from(count_max));
        let values: [Value<'_>; 3] = [
            (&access, Type::TEXT),
            (&after, Type::INT8),
            (&most, Type::INT8),
        ];
        let rows = self.pool().read(REPLAY_CALLS, &values).await?;
        let call = |row: &Row| -> Result<ReplayCall, PgError> {
            Ok(ReplayCall {
                id: row.try_get("id")?,
                client: row.try_get::<_, IpAddr>("client")?,
                request_id: row
                    .try_get::<_, Option<_>>("request_id")?
                    .unwrap_or_default(),
                caller_request_id: row.try_get("caller_request_id")?,
                method: row.try_get("method")?,
                code: row.try_get("code")?,
                is_upstreams: row.try_get("is_upstreams")?,
                count: row.try_get::<_, i64>("count")?.unsigned_abs(),
            })
        };
        Ok(rows.iter().map(call).collect::<Result<_, _>>()?)
    }

    pub(crate) async fn newest_row(&self) -> Result<i64, StoreError> {
        let rows = self.pool().read(NEWEST, &[]).await?;
        let newest = rows.first().map(|row| row.try_get("newest"));
        Ok(newest.transpose().map_err(PgError::from)?.unwrap_or(0))
    }

    pub(crate) async fn journal_row(&self, id: i64) -> Result<Option<JournalRow>, StoreError> {
        let open = "SELECT row FROM chatgate.intents WHERE id = $1";
        let open = self.pool().read(open, &[(&id, Type::INT8)]).await?;
        if let Some(row) = open.first() {
            return Ok(OpenRow::read(
                row.try_get("row").map_err(PgError::from)?,
                id,
            ));
        }
        let whole = format!("{} WHERE j.id = $1", *SELECT);
        let rows = self.pool().read(&whole, &[(&id, Type::INT8)]).await?;
        Ok(rows.first().map(read).transpose()?)
    }

    /// Returns the calls of all minutes that begin between two times, over all replicas. The sum is always complete, so no earlier
    /// tally is continued.
    pub(crate) async fn tally(
        &self,
        (since_ms, until_ms): (i64, i64),
        _so_far: Tally,
        _count_max: u32,
    ) -> Result<(Tally, bool), StoreError> {
        let (since, until) = (minute_from(since_ms), minute_from(until_ms));
        let values: [Value<'_>; 2] = [(&since, Type::INT8), (&until, Type::INT8)];
        let rows = self.pool().read(TALLY, &values).await?;
        let count = |name| -> Result<u64, PgError> {
            let row = rows
                .first()
                .map(|row| row.try_get::<_, i64>(name))
                .transpose()?;
            Ok(row.unwrap_or(0).unsigned_abs())
        };
        let tally = Tally {
            calls: count("calls")?,
            failed: count("failed")?,
            last: 0,
        };
        Ok((tally, true))
    }
}
