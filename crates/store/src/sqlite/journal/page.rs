//! The SQL of a page of the journal.

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::address;
use crate::journal::filter::{LOOKED_AT_MAX, USUAL_STATUS};
use crate::{JournalFilter, JournalOrder, JournalStatus, StoreError};

/// Up to so many rows of a network are sorted; of more than that the newest are quickly found among all. Either way a
/// page of a million rows costs milliseconds.
const SORTED_MAX: i64 = 20_000;

/// Of several conditions the one with the fewest rows finds them; each is counted so far. Where all have more, those that fit
/// all of them are among the newest as a rule.
const COUNTED_MAX: i64 = 2000;

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

/// The query for a page of rows with numbers of this range, found by this index, of which this is selected.
pub(super) fn page(
    (select, filter, index): (&str, &JournalFilter, Option<&str>),
    (first, end): (i64, i64),
    order: JournalOrder,
    count_max: u32,
) -> Query {
    let (sorts, direction) = (index == Some("client"), order.direction());
    // The rows are found by their numbers first, so that only those of the page are read.
    let mut query = Query {
        sql: select.to_owned(),
        values: Vec::new(),
    };
    // Where the rows of a network are sorted, no range of ids is to be walked instead.
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

/// The last row that a page looks at when more conditions than that of its index are to be met; none when it comes to the end.
pub(super) fn last_looked_at(
    connection: &Connection,
    (filter, index): (&JournalFilter, Option<&str>),
    (first, end): (i64, i64),
    order: JournalOrder,
) -> Result<Option<i64>, StoreError> {
    // Few rows are sorted, and few have one request's id.
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
        LOOKED_AT_MAX - 1,
    );
    let mut last = connection.prepare_cached(&query.sql)?;
    let last = last.query_row(params_from_iter(query.values), |row| row.get(0));
    Ok(last.optional()?)
}

/// A column that a filter compares with one value.
type Equality = (&'static str, Value);

/// What the filter compares by columns that have an index; the one that narrows most as a rule comes first.
fn equalities(filter: &JournalFilter) -> Vec<Equality> {
    let texts = filter.texts();
    let texts = texts.map(|(column, text)| (column, text.to_owned().into()));
    let status = filter.wire_status();
    texts
        .chain(status.map(|status| ("status", status.into())))
        .collect()
}

/// The column whose index finds the rows: that of the network when its rows are few enough to be sorted, and otherwise the one
/// with the fewest rows between these numbers, as far as they are counted. None when the rows are walked, or found by the id of
/// the request.
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

/// What the index of statuses says of itself: SQLite does not take it without.
fn unusual(column: &str) -> String {
    if column == "status" {
        format!(" AND status <> {USUAL_STATUS}")
    } else {
        String::new()
    }
}

/// Adds the conditions of the filter. SQLite uses the index of this column and no other: the sign `+` takes a column's index out
/// of account.
fn conditions(query: &mut Query, filter: &JournalFilter, index: Option<&str>) {
    let sign = |column| if index == Some(column) { "" } else { "+" };
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
    if filter.status == Some(JournalStatus::Success) {
        query.push(" AND code IS NULL AND kind = 'request' AND open = 0");
    }
}
