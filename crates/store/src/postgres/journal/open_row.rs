//! The stored row of a send under way. It is short, and its fields have the names of the journal's columns, so that another replica
//! can close the row without further information.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::IpAddr;

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};

use super::columns::clean;
use crate::journal::row::destination_hash;
use crate::{Calls, JournalPayload, JournalRow};

/// A text that is borrowed on its way to the database.
type RowText<'r> = Option<Cow<'r, str>>;

/// The data of a send when it begins.
#[derive(Serialize, Deserialize)]
pub(super) struct OpenRow<'r> {
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: RowText<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller_request_id: RowText<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: RowText<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    way: RowText<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access: RowText<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: RowText<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_method: RowText<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: RowText<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: RowText<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: RowText<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would_refuse: RowText<'r>,
    /// The keyed hash, in PostgreSQL's notation for bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    destination: RowText<'r>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: RowText<'r>,
}

impl<'r> OpenRow<'r> {
    /// Returns the text that is stored. `key` is the key for the hash of the destination.
    pub(super) fn text_of(row: &JournalRow, key: &hmac::Key) -> String {
        let kept = OpenRow::of(row, key);
        // Texts and numbers can always be written as JSON, whatever their values.
        serde_json::to_string(&kept).unwrap_or_else(|_| "{}".to_owned())
    }

    fn of(row: &'r JournalRow, key: &hmac::Key) -> OpenRow<'r> {
        let text = |text: Option<&'r str>| text.map(clean);
        OpenRow {
            request_id: text(row.request_id.as_deref()),
            caller_request_id: text(row.caller_request_id.as_deref()),
            trace_id: text(row.trace_id.as_deref()),
            way: text(row.way.as_deref()),
            access: text(row.access.as_deref()),
            method: text(row.method.as_deref()),
            http_method: text(row.http_method.as_deref()),
            path: text(row.path.as_deref()),
            peer: row.peer.map(|peer| peer.to_string().into()),
            client: row.client.map(|client| client.to_canonical()),
            generation: row.generation,
            user_agent: text(row.user_agent.as_deref()),
            would_refuse: text(row.would_refuse.as_deref()),
            destination: row.payload.destination.as_deref().map(|destination| {
                let mut hex = String::from("\\x");
                for byte in destination_hash(key, destination) {
                    // Writing to a string does not fail.
                    let _ = write!(hex, "{byte:02x}");
                }
                hex.into()
            }),
            parameters: text(row.payload.parameters.as_deref()),
        }
    }
}

impl OpenRow<'_> {
    /// Reads a row that [`OpenRow::text_of`] has written, with this id.
    pub(super) fn read(text: &str, id: i64) -> Option<JournalRow> {
        let kept: OpenRow<'_> = serde_json::from_str(text).ok()?;
        let own = |text: RowText<'_>| text.map(Cow::into_owned);
        let word = |text: RowText<'_>| own(text).map(Cow::Owned);
        Some(JournalRow {
            id,
            at_ms: JournalRow::time_of(id),
            open: true,
            count: Calls(1),
            request_id: own(kept.request_id),
            caller_request_id: own(kept.caller_request_id),
            trace_id: own(kept.trace_id),
            way: word(kept.way),
            access: own(kept.access),
            method: word(kept.method),
            http_method: word(kept.http_method),
            path: word(kept.path),
            peer: kept.peer.and_then(|text| text.parse().ok()),
            client: kept.client,
            generation: kept.generation,
            user_agent: own(kept.user_agent),
            would_refuse: own(kept.would_refuse),
            payload: JournalPayload {
                destination: None,
                parameters: own(kept.parameters),
                answer: None,
            },
            ..JournalRow::default()
        })
    }
}

/// Completes an outcome to a whole row: data known at the beginning of the send is taken from the opened row.
pub(super) fn complete(outcome: &mut JournalRow, opened: JournalRow) {
    let ended = std::mem::take(outcome);
    *outcome = JournalRow {
        open: false,
        status: ended.status,
        canonical: ended.canonical,
        code: ended.code,
        upstream_code: ended.upstream_code,
        delivery: ended.delivery,
        attempts: ended.attempts,
        queue_us: ended.queue_us,
        upstream_us: ended.upstream_us,
        total_us: ended.total_us,
        cache: ended.cache,
        limited_by: ended.limited_by,
        limit_max: ended.limit_max,
        limit_left: ended.limit_left,
        cause: ended.cause,
        would_refuse: ended.would_refuse,
        payload: JournalPayload {
            answer: ended.payload.answer.or(opened.payload.answer),
            ..opened.payload
        },
        ..opened
    };
}
