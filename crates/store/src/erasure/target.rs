//! The places in a store that may contain a destination, and its removal from them.

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use serde_json::Value;

use super::destination_forms::{DestinationForms, ERASED};
use crate::journal::row::destination_hash;

/// A table that may hold a destination.
pub(crate) struct SearchedTable {
    pub(crate) name: &'static str,
    /// The column with the row numbers.
    pub(crate) id: &'static str,
    /// True if the row numbers are times, so that rows added since a time can be found by number.
    pub(crate) is_timed: bool,
    pub(crate) columns: &'static [(&'static str, ColumnContent)],
    pub(crate) erasure: RowErasure,
}

/// The way in which a row with the destination is erased.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowErasure {
    /// The row is deleted as a whole.
    Delete,
    /// Another text replaces the destination.
    Redact,
    /// Keyed hashes replace the destination and the ids of a chat, so that its messages are still recognized.
    HashChat,
}

/// The kind of data in a column.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnContent {
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
pub(crate) static TABLES: [SearchedTable; 6] = [
    SearchedTable {
        name: "journal_payload",
        id: "id",
        is_timed: true,
        columns: &[
            ("destination", ColumnContent::Hash),
            ("parameters", ColumnContent::Text),
            ("answer", ColumnContent::Text),
        ],
        erasure: RowErasure::Delete,
    },
    SearchedTable {
        name: "journal",
        id: "id",
        is_timed: true,
        columns: &[
            ("request_id", ColumnContent::Text),
            ("caller_request_id", ColumnContent::Text),
            ("http_method", ColumnContent::Text),
            ("code", ColumnContent::Text),
            ("upstream_code", ColumnContent::Text),
            ("user_agent", ColumnContent::Text),
            ("cause", ColumnContent::Text),
            ("would_refuse", ColumnContent::Text),
        ],
        erasure: RowErasure::Redact,
    },
    SearchedTable {
        name: "receipts",
        id: "row",
        is_timed: true,
        columns: &[
            ("request_id", ColumnContent::Text),
            ("answer", ColumnContent::Result),
        ],
        erasure: RowErasure::Redact,
    },
    SearchedTable {
        name: "changes",
        id: "id",
        is_timed: false,
        columns: &[
            ("before", ColumnContent::Document),
            ("after", ColumnContent::Document),
        ],
        erasure: RowErasure::Redact,
    },
    SearchedTable {
        name: EVENTS,
        id: "position",
        is_timed: true,
        columns: &[
            ("destination", ColumnContent::Text),
            ("\"row\"", ColumnContent::Text),
        ],
        erasure: RowErasure::Delete,
    },
    // The messages of a chat are erased with the chat.
    SearchedTable {
        name: "event_chats",
        id: "id",
        is_timed: false,
        columns: &[("destination", ColumnContent::Text)],
        erasure: RowErasure::HashChat,
    },
];

/// Number of characters of a hash in an erased chat.
const HASH_CHARACTERS: usize = 32;

/// Returns the form in which an erased chat stores its destination or an id: a keyed hash, by which the same text is recognized.
pub(crate) fn erased_form(key: &hmac::Key, text: &str) -> String {
    let mut form = ERASED.to_owned();
    for byte in destination_hash(key, text) {
        // Writing into a String cannot fail.
        let _ = write!(form, "{byte:02x}");
    }
    form
}

fn is_erased_form(text: &str) -> bool {
    let is_hash = |hash: &str| {
        hash.len() == HASH_CHARACTERS && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    text.strip_prefix(ERASED).is_some_and(is_hash)
}

/// The destination that is searched for.
pub(crate) struct ErasureTarget {
    forms: DestinationForms,
    /// The hashes under which calls to the destination are found.
    hashes: Vec<Vec<u8>>,
    key: hmac::Key,
}

impl SearchedTable {
    /// Returns the names of the table's columns.
    pub(crate) fn names(&self) -> String {
        let names: Vec<_> = self.columns.iter().map(|(name, _)| *name).collect();
        names.join(", ")
    }
}

impl ErasureTarget {
    /// Makes the search for all forms of the destination; `key` is the key of the stored hashes.
    pub(crate) fn new(destination: &str, key: &hmac::Key) -> ErasureTarget {
        let forms = DestinationForms::of(destination);
        let hashes = forms
            .variants()
            .map(|variant| destination_hash(key, variant));
        ErasureTarget {
            hashes: hashes.collect(),
            forms,
            key: key.clone(),
        }
    }

    /// Returns the form in which an erased chat stores its destination or an id. The id may be in this form since an earlier
    /// erasure.
    pub(crate) fn erased_form(&self, text: String) -> String {
        if is_erased_form(&text) {
            text
        } else {
            erased_form(&self.key, &text)
        }
    }

    /// Returns the datetime that an erased chat may still store.
    pub(crate) fn kept_datetime(&self, datetime: Option<String>) -> Option<String> {
        datetime.filter(|datetime| !self.occurs_in(datetime))
    }

    /// Returns whether this is the hash of a form of the destination.
    pub(crate) fn has_hash(&self, hash: &[u8]) -> bool {
        self.hashes.iter().any(|one| one == hash)
    }

    /// Returns whether a text contains the destination.
    pub(crate) fn occurs_in(&self, text: &str) -> bool {
        self.forms.occurs_in(text)
    }

    /// Returns the text without the destination; `None` if the text does not contain it.
    pub(crate) fn redacted(&self, text: &str, holds: ColumnContent) -> Option<String> {
        let text = Some(text).filter(|text| self.occurs_in(text))?;
        match holds {
            ColumnContent::Text => self.forms.redacted(text),
            ColumnContent::Result => Some("{}".to_owned()),
            ColumnContent::Document => {
                let mut document = serde_json::from_str(text).ok()?;
                self.take_from_document(&mut document);
                Some(document.to_string())
            }
            ColumnContent::Hash => None,
        }
    }

    fn take_from_document(&self, document: &mut Value) {
        match document {
            Value::String(text) => {
                if let Some(rest) = self.forms.redacted(text) {
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
