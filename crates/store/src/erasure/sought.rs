//! Where a destination may stand in a store, and taking it from there.

use aws_lc_rs::hmac;
use serde_json::Value;

use super::traces::Traces;
use crate::journal::row::destination_hash;

/// A table that may hold a destination.
pub(crate) struct SoughtTable {
    pub(crate) name: &'static str,
    /// The column of its numbers.
    pub(crate) id: &'static str,
    /// Whether they are times, so that rows which came since one are found by them.
    pub(crate) is_timed: bool,
    pub(crate) columns: &'static [(&'static str, Holds)],
    /// Whether a row goes as a whole when something of it has to.
    pub(crate) goes: bool,
}

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    /// A text, in which something else can stand in a destination's place.
    Text,
    /// A JSON document, in whose texts it can.
    Document,
    /// The result of a send, as it is answered again: an empty one is a result, too.
    Result,
    /// The keyed hash of a destination.
    Hash,
}

/// The log of events, whose bytes are counted.
pub(crate) const EVENTS: &str = "events";

/// Names of accesses and operators are not among them: operators have chosen them, and change them themselves.
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
    // Its messages go with it.
    SoughtTable {
        name: "event_chats",
        id: "id",
        is_timed: false,
        columns: &[("destination", Holds::Text)],
        goes: true,
    },
];

/// What is looked for.
pub(crate) struct Sought {
    traces: Traces,
    /// The hashes under which calls to it are found.
    hashes: Vec<Vec<u8>>,
}

impl SoughtTable {
    /// The names of its columns.
    pub(crate) fn names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }
}

impl Sought {
    /// The destination in every form, with this key for its hashes.
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

    /// Whether this is the hash of it in some form.
    pub(crate) fn has_hash(&self, hash: &[u8]) -> bool {
        self.hashes.iter().any(|one| one == hash)
    }

    /// Whether it stands in a text.
    pub(crate) fn stands_in(&self, text: &str) -> bool {
        self.traces.stand_in(text)
    }

    /// What is left of a text in which it stands.
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
