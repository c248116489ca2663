//! Builds the query for a page of the journal: whole rows and sends under way, both from the same moment.

use std::net::IpAddr;

use tokio_postgres::types::{ToSql, Type};

use super::columns::{BRIEF, COLUMNS, SELECT_FROM, columns_of};
use crate::journal::filter::{ROWS_EXAMINED_MAX, RowDetail, USUAL_STATUS};
use crate::postgres::session::Value;
use crate::{JournalFilter, JournalOrder, JournalStatus};

/// A parameter of a query that is being built.
enum Bound {
    Number(i64),
    Text(String),
    Address(IpAddr),
}

impl Bound {
    fn value(&self) -> Value<'_> {
        let value: &(dyn ToSql + Sync) = match self {
            Bound::Number(number) => number,
            Bound::Text(text) => text,
            Bound::Address(address) => address,
        };
        let of_type = match self {
            Bound::Number(_) => Type::INT8,
            Bound::Text(_) => Type::TEXT,
            Bound::Address(_) => Type::INET,
        };
        (value, of_type)
    }
}

/// A query that is being built, with its parameters in order.
pub(super) struct PageQuery {
    pub(super) sql: String,
    values: Vec<Bound>,
}

impl PageQuery {
    /// Builds the query for the rows of a page. A send under way is a row with only its id and its text.
    pub(super) fn of(
        filter: &JournalFilter,
        ids: (i64, i64),
        order: JournalOrder,
        (count_max, detail): (u32, RowDetail),
    ) -> PageQuery {
        let (mut query, direction) = (PageQuery::new(), order.direction());
        let (first, end) = query.bind_ids(ids);
        let most = query.bind(Bound::Number(count_max.into()));
        let conditions = query.conditions(filter);
        let rows = format!(
            "FROM chatgate.journal WHERE id >= {first} AND id < {end}{conditions} ORDER BY id {direction} LIMIT {most}"
        );
        let (select, others) = match detail {
            RowDetail::Whole | RowDetail::WithoutAnswer => {
                let (of_j, columns) = (columns_of("j"), &*COLUMNS);
                let answer = match detail {
                    RowDetail::WithoutAnswer => "NULL AS answer",
                    _ => "p.answer",
                };
                let select = format!(
                    "SELECT {of_j}, p.parameters, {answer}, c.before, c.after, NULL AS open_row
                     FROM (SELECT {columns}, change {rows}) j {SELECT_FROM}"
                );
                // The number of the journal's columns without the id, plus the two payload texts and the two texts of the change.
                (select, COLUMNS.split(", ").count() - 1 + 4)
            }
            RowDetail::Brief => {
                let select =
                    format!("SELECT {BRIEF}, NULL AS open_row FROM (SELECT {BRIEF} {rows}) j");
                (select, BRIEF.split(", ").count() - 1)
            }
        };
        // Fills up the sends under way to the number of columns of the other half.
        let nulls = vec!["NULL"; others].join(", ");
        query.sql = format!(
            "{select} UNION ALL SELECT id, {nulls}, row FROM chatgate.intents WHERE id >= {first} AND id < {end}"
        );
        query
    }

    /// Builds the query for the last row that a page examines, by each condition with an index. Returns `None` for a request id,
    /// and when there is no condition or a single one with an index.
    pub(super) fn last_examined(
        filter: &JournalFilter,
        ids: (i64, i64),
        order: JournalOrder,
    ) -> Option<PageQuery> {
        let mut query = PageQuery::new();
        let (first, end) = query.bind_ids(ids);
        let texts = filter.texts();
        let mut by: Vec<_> = texts
            .map(|(column, text)| query.equals(column, text))
            .collect();
        let status = filter.wire_status();
        by.extend(
            status
                .filter(|status| *status != USUAL_STATUS)
                .map(|status| query.status_is(status)),
        );
        if filter.request_id.is_some() || filter.conditions() <= by.len().min(1) {
            return None;
        }
        if by.is_empty() {
            by.push(String::new());
        }
        let last = by.iter().map(|condition| {
            format!(
                "(SELECT id FROM chatgate.journal WHERE id >= {first} AND id < {end}{condition}
                  ORDER BY id {} LIMIT 1 OFFSET {})",
                order.direction(),
                ROWS_EXAMINED_MAX - 1
            )
        });
        query.sql = format!("SELECT {}", last.collect::<Vec<_>>().join(", "));
        Some(query)
    }

    fn new() -> PageQuery {
        PageQuery {
            sql: String::new(),
            values: Vec::new(),
        }
    }

    fn bind_ids(&mut self, (first, end): (i64, i64)) -> (String, String) {
        let first = self.bind(Bound::Number(first));
        (first, self.bind(Bound::Number(end)))
    }

    fn equals(&mut self, column: &str, text: &str) -> String {
        let text = self.bind(Bound::Text(text.to_owned()));
        format!(" AND {column} = {text}")
    }

    fn status_is(&mut self, status: u16) -> String {
        let is = self.bind(Bound::Number(status.into()));
        // The condition has the wording of the index's condition, so that the index can be used.
        let unusual = if status == USUAL_STATUS {
            String::new()
        } else {
            format!(" AND status <> {USUAL_STATUS}")
        };
        format!(" AND status = {is}{unusual}")
    }

    pub(super) fn values(&self) -> Vec<Value<'_>> {
        self.values.iter().map(Bound::value).collect()
    }

    /// Adds a parameter and returns its placeholder.
    fn bind(&mut self, value: Bound) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    fn conditions(&mut self, filter: &JournalFilter) -> String {
        let mut sql = String::new();
        if let Some(id) = &filter.request_id {
            let id = self.bind(Bound::Text(id.clone()));
            // Each half uses its own index.
            sql += &format!(
                " AND id = ANY(ARRAY(SELECT id FROM chatgate.journal WHERE request_id = {id}
                 UNION SELECT id FROM chatgate.journal WHERE caller_request_id = {id}))"
            );
        }
        if let Some(network) = filter.network {
            let network = network.trunc();
            let first = self.bind(Bound::Address(network.network()));
            let last = self.bind(Bound::Address(network.broadcast()));
            sql += &format!(" AND client BETWEEN {first} AND {last}");
        }
        for (column, text) in filter.texts() {
            sql += &self.equals(column, text);
        }
        if let Some(status) = filter.wire_status() {
            sql += &self.status_is(status);
        }
        match filter.status {
            Some(JournalStatus::Success) => sql += " AND code IS NULL AND kind = 'request'",
            Some(JournalStatus::UpstreamCode) => {
                sql += " AND upstream_code IS NOT NULL AND canonical = 502"
            }
            _ => {}
        }
        sql
    }
}
