//! The places in a store that may contain a destination, and its removal from them.

use aws_lc_rs::hmac;
use serde_json::Value;

use super::traces::Traces;
use crate::journal::row::destination_hash;

/// A table that may hold a destination.
pub(crate) struct SoughtTable {
    pub(crate) name: &'static str,
    /// The column with the row numbers.
    pub(crate) id: &'static str,
    /// True if the row numbers are times, so that rows added since a time can be found by number.
    pub(crate) is_timed: bool,
    pub(crate) columns: &'static [(&'static str, Holds)],
    /// True if a row is deleted as a whole when part of it must be erased.
    pub(crate) goes: bool,
}

/// The kind of data in a column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// A text, in which another text can replace the destination.
    Text,
    /// A JSON document, in whose texts another text can replace the destination.
    Document,
    /// The result of a send, which is returned to repeated requests; an empty result is valid, too.
    Result,
    /// The keyed hash of a destination.
    Hash,
}

/// The table of the event log, whose bytes are counted.
pub(crate) const EVENTS: &str = "events";

/// The tables that may contain a destination. Names of accesses and operators are excluded, because operators choose these names
/// and change them themselves.
pub(crate) static TABLES: [SoughtTable; 6] = [
    SoughtTable {
        name: "journal_payload",
        id: "id",
        is_timed: true,
        columns: &[
            ("destination", Holds::Hash),
            ("parameters", Holds::Text),
            ("answer", Holds::Text),
        ],
        goes: true,
    },
    SoughtTable {
        name: "journal",
        id: "id",
        is_timed: true,
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
    SoughtTable {
        name: "receipts",
        id: "row",
        is_timed: true,
        columns: &[("request_id", Holds::Text), ("answer", Holds::Result)],
        goes: false,
    },
    SoughtTable {
        name: "changes",
        id: "id",
        is_timed: false,
        columns: &[("before", Holds::Document), ("after", Holds::Document)],
        goes: false,
    },
    SoughtTable {
        name: EVENTS,
        id: "position",
        is_timed: true,
        columns: &[("destination", Holds::Text), ("\"row\"", Holds::Text)],
        goes: true,
    },
    // The messages of a chat are deleted with the chat.
    SoughtTable {
        name: "event_chats",
        id: "id",
        is_timed: false,
        columns: &[("destination", Holds::Text)],
        goes: true,
    },
];

/// The destination that is searched for.
pub(crate) struct Sought {
    traces: Traces,
    /// The hashes under which calls to the destination are found.
    hashes: Vec<Vec<u8>>,
}

impl SoughtTable {
    /// Returns the names of the table's columns.
    pub(crate) fn names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }
}

impl Sought {
    /// Makes the search for all forms of the destination; `key` is the key of the stored hashes.
    pub(crate) fn new(destination: &str, key: &hmac::Key) -> Sought {
        let traces = Traces::of(destination);
        let hashes = traces
            .variants()
            .map(|variant| destination_hash(key, variant));
        Sought {
            hashes: hashes.collect(),
            traces,
        }
    }

    /// Returns whether this is the hash of a form of the destination.
    pub(crate) fn has_hash(&self, hash: &[u8]) -> bool {
        self.hashes.iter().any(|one| one == hash)
    }

    /// Returns whether a text contains the destination.
    pub(crate) fn stands_in(&self, text: &str) -> bool {
        self.traces.stand_in(text)
    }

    /// Returns the text without the destination; `None` if the text does not contain it.
    pub(crate) fn taken_from(&self, text: &str, holds: Holds) -> Option<String> {
        let text = Some(text).filter(|text| self.stands_in(text))?;
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
