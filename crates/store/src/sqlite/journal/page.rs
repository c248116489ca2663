//! Builds the SQL for a page of the journal.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::address;
use crate::journal::filter::{ROWS_EXAMINED_MAX, USUAL_STATUS};
use crate::{JournalFilter, JournalOrder, JournalStatus, StoreError};

/// Limit for sorting: the rows of a network below this number are found by address and sorted. If a network has more rows, its
/// newest rows are quickly found among all rows. Either way a page from a million rows costs milliseconds.
const SORTED_MAX: i64 = 20_000;

/// Limit for counting the rows of a condition. Of several conditions, the index of the one with the fewest rows is used. If all
/// conditions have more rows than this, the rows that match all of them are usually among the newest.
const COUNTED_MAX: i64 = 2000;

/// An unfinished SQL query, with the values of its parameters in their order.
pub(super) struct Query {
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl Query {
    fn push(&mut self, sql: &str) {
        self.sql.push_str(sql);
    }

    /// Appends SQL that ends with one parameter.
    fn bind(&mut self, sql: &str, value: impl Into<Value>) {
        self.sql.push_str(sql);
        self.sql.push('?');
        self.values.push(value.into());
    }
}

/// Builds the query for a page of rows: `select` is the selection, `index` the index that finds the rows, and their numbers are in
/// this range.
pub(super) fn page(
    (select, filter, index): (&str, &JournalFilter, Option<&str>),
    (first, end): (i64, i64),
    order: JournalOrder,
    count_max: u32,
) -> Query {
    let (sorts, direction) = (index == Some("client"), order.direction());
    // The inner query finds the rows by their numbers, so that only the rows of the page are read.
    let mut query = Query {
        sql: select.to_owned(),
        values: Vec::new(),
    };
    // If the rows of a network are sorted, SQLite must not walk through a range of ids instead.
    let sign = if sorts { "+" } else { "" };
    query.bind(
        &format!(" WHERE j.id IN (SELECT id FROM journal WHERE {sign}id >= "),
        first,
    );
    query.bind(&format!(" AND {sign}id < "), end);
    conditions(&mut query, filter, index);
    query.bind(&format!(" ORDER BY id {direction} LIMIT "), count_max);
    query.push(&format!(") ORDER BY j.id {direction}"));
    query
}

/// Returns the last row that a page examines, if the filter has more conditions than the one of its index; `None` if the page may
/// reach the end.
pub(super) fn last_examined(
    connection: &Connection,
    (filter, index): (&JournalFilter, Option<&str>),
    (first, end): (i64, i64),
    order: JournalOrder,
) -> Result<Option<i64>, StoreError> {
    // Only few rows are sorted, and only few have one request's id.
    let is_short = index == Some("client") || filter.request_id.is_some();
    if is_short || filter.conditions() <= usize::from(index.is_some()) {
        return Ok(None);
    }
    let mut query = Query {
        sql: "SELECT id FROM journal WHERE id >= ?".to_owned(),
        values: vec![first.into()],
    };
    query.bind(" AND id < ", end);
    let mut candidates = equalities(filter).into_iter();
    if let Some((column, value)) = candidates.find(|(column, _)| index == Some(column)) {
        query.bind(&format!("{} AND {column} = ", unusual(column)), value);
    }
    query.bind(
        &format!(" ORDER BY id {} LIMIT 1 OFFSET ", order.direction()),
        ROWS_EXAMINED_MAX - 1,
    );
    let mut last = connection.prepare_cached(&query.sql)?;
    let last = last.query_row(params_from_iter(query.values), |row| row.get(0));
    Ok(last.optional()?)
}

/// A column that a filter compares with one value, and this value.
type Equality = (&'static str, Value);

/// Returns the comparisons of the filter by columns with an index; the one that usually narrows the search most comes first.
fn equalities(filter: &JournalFilter) -> Vec<Equality> {
    let texts = filter.texts();
    let texts = texts.map(|(column, text)| (column, text.to_owned().into()));
    let status = filter.wire_status();
    texts
        .chain(status.map(|status| ("status", status.into())))
        .collect()
}

/// Chooses the column whose index finds the rows: that of the network if the network has few enough rows to sort them, otherwise
/// the column with the fewest rows in this range, counted up to a limit. `None` if the rows are walked through, or are found by the
/// id of the request.
pub(super) fn index(
    connection: &Connection,
    filter: &JournalFilter,
    ids: (i64, i64),
) -> Result<Option<&'static str>, StoreError> {
    if filter.request_id.is_some() {
        return Ok(None);
    }
    if let Some(network) = filter.network {
        let (first, last) = address::range(network);
        let rows =
            "SELECT count(*) FROM (SELECT 1 FROM journal WHERE client BETWEEN ? AND ? LIMIT ?)";
        let mut rows = connection.prepare_cached(rows)?;
        let rows: i64 = rows.query_row((first, last, SORTED_MAX), |row| row.get(0))?;
        if rows < SORTED_MAX {
            return Ok(Some("client"));
        }
    }
    let mut candidates = equalities(filter);
    candidates.retain(|(column, value)| *column != "status" || *value != usual_status());
    if candidates.len() < 2 {
        return Ok(candidates.first().map(|(column, _)| *column));
    }
    let mut best = None;
    for (column, value) in candidates {
        let unusual = unusual(column);
        let rows = format!(
            "SELECT count(*) FROM (SELECT 1 FROM journal WHERE {column} = ?{unusual} AND id >= ? AND id < ? LIMIT ?)"
        );
        let mut rows = connection.prepare_cached(&rows)?;
        let rows = rows.query_row((value, ids.0, ids.1, COUNTED_MAX), |row| row.get(0))?;
        if best.is_none_or(|(fewest, _): (i64, _)| rows < fewest) {
            best = Some((rows, column));
        }
    }
    Ok(best.map(|(_, column)| column))
}

fn usual_status() -> Value {
    USUAL_STATUS.into()
}

/// Returns the condition of the index of statuses. SQLite uses this partial index only if the query contains the same condition.
fn unusual(column: &str) -> String {
    if column == "status" {
        format!(" AND status <> {USUAL_STATUS}")
    } else {
        String::new()
    }
}

/// Adds the conditions of the filter. SQLite uses only the index of this column, because a `+` before a column excludes the
/// column's index.
fn conditions(query: &mut Query, filter: &JournalFilter, index: Option<&str>) {
    let sign = |column| if index == Some(column) { "" } else { "+" };
    if let Some(id) = &filter.request_id {
        // Each half uses its own index; one condition with OR would make SQLite walk through the rows.
        query.bind(
            " AND id IN (SELECT id FROM journal WHERE request_id = ",
            id.clone(),
        );
        query.bind(
            " UNION SELECT id FROM journal WHERE caller_request_id = ",
            id.clone(),
        );
        query.push(")");
    }
    if let Some(network) = filter.network {
        let (first, last) = address::range(network);
        query.bind(&format!(" AND {}client BETWEEN ", sign("client")), first);
        query.bind(" AND ", last);
    }
    for (column, value) in equalities(filter) {
        if value != usual_status() {
            query.push(&unusual(column));
        }
        query.bind(&format!(" AND {}{column} = ", sign(column)), value);
    }
    match filter.status {
        Some(JournalStatus::Success) => {
            query.push(" AND code IS NULL AND kind = 'request' AND open = 0")
        }
        Some(JournalStatus::UpstreamCode) => {
            query.push(" AND upstream_code IS NOT NULL AND canonical = 502")
        }
        _ => {}
    }
}
