//! The SQL of a page of the journal.

use rusqlite::Connection;
use rusqlite::types::Value;

use super::{address, sql};
use crate::journal::row::first_id_at;
use crate::{JournalFilter, JournalOrder, JournalStatus, StoreError};

/// Up to so many rows of a network are sorted; of more than that the newest are quickly found among all. Either way a
/// page of a million rows costs milliseconds.
const SORTED_MAX: i64 = 20_000;

/// The status that no index holds: most rows have it, so that the newest with it are found by walking.
const USUAL_STATUS: u16 = 200;

/// SQL in the making, with the values of its parameters in their order.
pub(super) struct Query {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl Query {
    fn push(&mut self, sql: &str) {
        self.sql.push_str(sql);
    }

    /// Adds SQL with one parameter, at its end.
    fn bind(&mut self, sql: &str, value: impl Into<Value>) {
        self.sql.push_str(sql);
        self.sql.push('?');
        self.values.push(value.into());
    }
}

/// The query for a page of rows.
pub(super) fn page(
    connection: &Connection,
    filter: &JournalFilter,
    (order, beyond): (JournalOrder, Option<i64>),
    count_max: u32,
) -> Result<Query, StoreError> {
    let sorts = sorts(connection, filter)?;
    // One bound at either end: of two, SQLite would seek only the first, and meet the other by walking.
    let (mut first, mut end) = (
        filter.since_ms.map_or(0, first_id_at),
        filter.until_ms.map_or(i64::MAX, first_id_at),
    );
    let direction = match order {
        JournalOrder::NewestFirst => {
            end = end.min(beyond.unwrap_or(i64::MAX));
            "DESC"
        }
        JournalOrder::OldestFirst => {
            first = first.max(beyond.map_or(0, |id| id.saturating_add(1)));
            "ASC"
        }
    };
    // The rows are found by their numbers first, so that only those of the page are read.
    let mut query = Query {
        sql: sql::SELECT.clone(),
        values: Vec::new(),
    };
    // Where the rows of a network are sorted, no range of ids is to be walked instead.
    let sign = if sorts { "+" } else { "" };
    query.bind(
        &format!(" WHERE j.id IN (SELECT id FROM journal WHERE {sign}id >= "),
        first,
    );
    query.bind(&format!(" AND {sign}id < "), end);
    conditions(&mut query, filter, sorts);
    query.bind(&format!(" ORDER BY id {direction} LIMIT "), count_max);
    query.push(&format!(") ORDER BY j.id {direction}"));
    Ok(query)
}

/// Whether the rows of the filter's network are few enough to be sorted.
fn sorts(connection: &Connection, filter: &JournalFilter) -> Result<bool, StoreError> {
    let Some(network) = filter.network else {
        return Ok(false);
    };
    let (first, last) = address::range(network);
    let rows = "SELECT count(*) FROM (SELECT 1 FROM journal WHERE client BETWEEN ? AND ? LIMIT ?)";
    let mut rows = connection.prepare_cached(rows)?;
    let rows: i64 = rows.query_row((first, last, SORTED_MAX), |row| row.get(0))?;
    Ok(rows < SORTED_MAX)
}

/// Adds the conditions of the filter, the one that narrows most as a rule first: SQLite uses its index, and no other. The sign
/// `+` takes a column's index out of account.
fn conditions(query: &mut Query, filter: &JournalFilter, sorts: bool) {
    let mut sign = "";
    if let Some(id) = &filter.request_id {
        // Each half by its own index; either or both in one condition would be met by walking.
        query.bind(
            " AND id IN (SELECT id FROM journal WHERE request_id = ",
            id.clone(),
        );
        query.bind(
            " UNION SELECT id FROM journal WHERE caller_request_id = ",
            id.clone(),
        );
        query.push(")");
        sign = "+";
    }
    if let Some(network) = filter.network {
        let (first, last) = address::range(network);
        query.push(if sorts { " AND client" } else { " AND +client" });
        query.bind(" BETWEEN ", first);
        query.bind(" AND ", last);
        sign = if sorts { "+" } else { sign };
    }
    let status = filter.status.as_ref();
    let code = status.and_then(|status| match status {
        JournalStatus::Code(code) => Some(code),
        JournalStatus::Wire(_) | JournalStatus::Success => None,
    });
    let texts = [
        ("access", filter.access.as_ref()),
        ("code", code),
        ("delivery", filter.delivery.as_ref()),
        ("method", filter.method.as_ref()),
    ];
    for (column, text) in texts {
        if let Some(text) = text {
            query.bind(&format!(" AND {sign}{column} = "), text.clone());
            sign = "+";
        }
    }
    match status {
        Some(JournalStatus::Wire(status)) => {
            query.bind(&format!(" AND {sign}status = "), *status);
            if *status != USUAL_STATUS {
                // As the index says it: SQLite does not take the index without.
                query.push(&format!(" AND status <> {USUAL_STATUS}"));
            }
        }
        Some(JournalStatus::Success) => {
            query.push(" AND code IS NULL AND kind = 'request' AND open = 0");
        }
        Some(JournalStatus::Code(_)) | None => {}
    }
}
