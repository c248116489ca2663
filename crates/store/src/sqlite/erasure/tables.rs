//! Where a destination may stand, and taking it from there.

use aws_lc_rs::hmac;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Transaction};
use serde_json::Value;

use crate::StoreError;
use crate::erasure::traces::Traces;
use crate::journal::row::destination_hash;

/// Rows that are read before others may use the connection: some milliseconds of reading.
const READ_AT_ONCE: usize = 5000;

/// A table that may hold a destination.
pub(super) struct Table {
    name: &'static str,
    id: &'static str,
    columns: &'static [(&'static str, Holds)],
    /// Whether a row goes as a whole when something of it has to.
    goes: bool,
}

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// A text, in which something else can stand in a destination's place.
    Text,
    /// A JSON document, in whose texts it can.
    Document,
    /// The result of a send, as it is answered again: an empty one is a result, too.
    Result,
    /// The keyed hash of a destination.
    Hash,
}

/// Names of accesses and operators are not among them: operators have chosen them, and change them themselves.
pub(super) static TABLES: [Table; 4] = [
    Table {
        name: "journal_payload",
        id: "id",
        columns: &[
            ("destination", Holds::Hash),
            ("parameters", Holds::Text),
            ("answer", Holds::Text),
        ],
        goes: true,
    },
    Table {
        name: "journal",
        id: "id",
        columns: &[
            ("request_id", Holds::Text),
            ("caller_request_id", Holds::Text),
            ("http_method", Holds::Text),
            ("code", Holds::Text),
            ("upstream_code", Holds::Text),
            ("user_agent", Holds::Text),
            ("cause", Holds::Text),
            ("would_refuse", Holds::Text),
        ],
        goes: false,
    },
    Table {
        name: "receipts",
        id: "row",
        columns: &[("request_id", Holds::Text), ("answer", Holds::Result)],
        goes: false,
    },
    Table {
        name: "changes",
        id: "id",
        columns: &[("before", Holds::Document), ("after", Holds::Document)],
        goes: false,
    },
];

/// What is looked for.
pub(super) struct Sought {
    traces: Traces,
    /// The hashes under which calls to it are found.
    hashes: Vec<Vec<u8>>,
}

impl Table {
    fn names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }

    /// The rows beyond this one in which it stands, of as many as are read at once; and the last that was read, unless there are
    /// no more.
    pub(super) fn find_some(
        &self,
        connection: &Connection,
        sought: &Sought,
        beyond: i64,
    ) -> Result<(Vec<i64>, Option<i64>), StoreError> {
        let Table { name, id, .. } = self;
        let names = self.names();
        let query = format!(
            "SELECT {id}, {names} FROM {name} WHERE {id} > ? ORDER BY {id} LIMIT {READ_AT_ONCE}"
        );
        let mut query = connection.prepare_cached(&query)?;
        let mut rows = query.query([beyond])?;
        let (mut found, mut last, mut count) = (Vec::new(), None, 0);
        while let Some(row) = rows.next()? {
            let number = row.get(0)?;
            for (column, (_, holds)) in self.columns.iter().enumerate() {
                if sought.stands_in(row.get_ref(column + 1)?, *holds) {
                    found.push(number);
                    break;
                }
            }
            last = Some(number);
            count += 1;
        }
        Ok((found, last.filter(|_| count == READ_AT_ONCE)))
    }

    /// Takes it from a row, and returns whether it stood there.
    pub(super) fn erase(
        &self,
        transaction: &Transaction<'_>,
        sought: &Sought,
        number: i64,
    ) -> Result<bool, StoreError> {
        let Table { name, id, .. } = self;
        if self.goes {
            let delete = format!("DELETE FROM {name} WHERE {id} = ?");
            let deleted = transaction.prepare_cached(&delete)?.execute([number])?;
            return Ok(deleted > 0);
        }
        let mut stood = false;
        for (column, holds) in self.columns {
            let select = format!("SELECT {column} FROM {name} WHERE {id} = ?");
            let mut select = transaction.prepare_cached(&select)?;
            let mut rows = select.query([number])?;
            // Rows may have been cleared since.
            let Some(row) = rows.next()? else { break };
            let Some(rest) = sought.taken_from(row.get_ref(0)?, *holds) else {
                continue;
            };
            drop(rows);
            let update = format!("UPDATE {name} SET {column} = ? WHERE {id} = ?");
            transaction
                .prepare_cached(&update)?
                .execute((rest, number))?;
            stood = true;
        }
        Ok(stood)
    }
}

impl Sought {
    /// The destination in every form, with this key for its hashes.
    pub(super) fn new(destination: &str, key: &hmac::Key) -> Sought {
        let traces = Traces::of(destination);
        let hashes = traces
            .variants()
            .map(|variant| destination_hash(key, variant));
        Sought {
            hashes: hashes.collect(),
            traces,
        }
    }

    fn stands_in(&self, value: ValueRef<'_>, holds: Holds) -> bool {
        match value {
            ValueRef::Blob(hash) => {
                holds == Holds::Hash && self.hashes.iter().any(|one| one == hash)
            }
            ValueRef::Text(text) => {
                std::str::from_utf8(text).is_ok_and(|text| self.traces.stand_in(text))
            }
            ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) => false,
        }
    }

    /// What is left of a value in which it stands.
    fn taken_from(&self, value: ValueRef<'_>, holds: Holds) -> Option<String> {
        let text = value
            .as_str()
            .ok()
            .filter(|text| self.traces.stand_in(text))?;
        match holds {
            Holds::Text => self.traces.taken_from(text),
            Holds::Result => Some("{}".to_owned()),
            Holds::Document => {
                let mut document = serde_json::from_str(text).ok()?;
                self.take_from_document(&mut document);
                Some(document.to_string())
            }
            Holds::Hash => None,
        }
    }

    fn take_from_document(&self, document: &mut Value) {
        match document {
            Value::String(text) => {
                if let Some(rest) = self.traces.taken_from(text) {
                    *text = rest;
                }
            }
            Value::Array(values) => values
                .iter_mut()
                .for_each(|value| self.take_from_document(value)),
            Value::Object(members) => {
                members
                    .values_mut()
                    .for_each(|value| self.take_from_document(value));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}
