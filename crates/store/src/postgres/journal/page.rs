//! The query for a page of the journal: rows that are whole, and sends under way, as they are at one moment.

use std::net::IpAddr;

use tokio_postgres::types::{ToSql, Type};

use super::columns::{COLUMNS, SELECT_FROM, columns_of};
use crate::journal::row::first_id_at;
use crate::postgres::session::Value;
use crate::{JournalFilter, JournalOrder, JournalStatus};

/// The status that no index holds: most rows have it.
const USUAL_STATUS: u16 = 200;

/// A value of a query in the making.
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

/// SQL in the making, with the values of its parameters in their order.
pub(super) struct PageQuery {
    pub(super) sql: String,
    values: Vec<Bound>,
}

impl PageQuery {
    /// The page's rows, in which a send under way is a row with nothing but its number and its text.
    pub(super) fn of(
        filter: &JournalFilter,
        (order, beyond): (JournalOrder, Option<i64>),
        count_max: u32,
    ) -> PageQuery {
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
        let mut query = PageQuery {
            sql: String::new(),
            values: Vec::new(),
        };
        let (first, end) = (
            query.bind(Bound::Number(first)),
            query.bind(Bound::Number(end)),
        );
        let most = query.bind(Bound::Number(count_max.into()));
        let conditions = query.conditions(filter);
        // As many columns as the other half has: those of the journal but its number, what was said, and the change.
        let nulls = vec!["NULL"; COLUMNS.split(", ").count() - 1 + 4].join(", ");
        query.sql = format!(
            "SELECT {of_j}, p.parameters, p.answer, c.before, c.after, NULL AS open_row
             FROM (SELECT * FROM chatgate.journal WHERE id >= {first} AND id < {end}{conditions}
                 ORDER BY id {direction} LIMIT {most}) j {SELECT_FROM}
             UNION ALL SELECT id, {nulls}, row FROM chatgate.intents WHERE id >= {first} AND id < {end}",
            of_j = columns_of("j"),
        );
        query
    }

    pub(super) fn values(&self) -> Vec<Value<'_>> {
        self.values.iter().map(Bound::value).collect()
    }

    /// Adds a value, and returns its parameter.
    fn bind(&mut self, value: Bound) -> String {
        self.values.push(value);
        format!("${}", self.values.len())
    }

    fn conditions(&mut self, filter: &JournalFilter) -> String {
        let mut sql = String::new();
        if let Some(id) = &filter.request_id {
            let id = self.bind(Bound::Text(id.clone()));
            // Each half by its own index.
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
        let code = match &filter.status {
            Some(JournalStatus::Code(code)) => Some(code),
            Some(JournalStatus::Wire(_) | JournalStatus::Success) | None => None,
        };
        for (column, text) in [
            ("access", filter.access.as_ref()),
            ("code", code),
            ("delivery", filter.delivery.as_ref()),
            ("method", filter.method.as_ref()),
        ] {
            if let Some(text) = text {
                let text = self.bind(Bound::Text(text.clone()));
                sql += &format!(" AND {column} = {text}");
            }
        }
        match &filter.status {
            Some(JournalStatus::Wire(status)) => {
                let is = self.bind(Bound::Number((*status).into()));
                sql += &format!(" AND status = {is}");
                if *status != USUAL_STATUS {
                    // As the index says it.
                    sql += &format!(" AND status <> {USUAL_STATUS}");
                }
            }
            Some(JournalStatus::Success) => sql += " AND code IS NULL AND kind = 'request'",
            Some(JournalStatus::Code(_)) | None => {}
        }
        sql
    }
}
