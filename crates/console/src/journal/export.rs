//! The journal as a whole: all rows that a query finds, as a stream.

use std::sync::Arc;

use futures_util::stream;
use http::{HeaderMap, header};
use store::{JournalOrder, JournalRow, StoreError};

use crate::journal::query::JournalQuery;
use crate::journal::rows::row_view;
use crate::state::Console;

/// Rows read at a time: with the answers of accesses whose journal level is full, some megabytes.
const EXPORT_PAGE_ROWS: u32 = 100;

/// The media type of an export.
pub(crate) const NDJSON: &str = "application/x-ndjson";

/// Whether a request asks for all rows, and not for a page of them.
pub(crate) fn wants_ndjson(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter();
    accepts
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.to_ascii_lowercase().contains(NDJSON))
}

/// Streams all rows as lines of JSON.
pub(crate) fn export(
    console: Arc<Console>,
    query: JournalQuery,
) -> impl stream::Stream<Item = Result<String, StoreError>> {
    export_as(console, query, |row| format!("{}\n", row_view(row, true)))
}

/// Streams all rows, oldest first by default. Rows are read a page at a time: neither the store nor memory holds more.
pub(crate) fn export_as(
    console: Arc<Console>,
    query: JournalQuery,
    line: fn(JournalRow) -> String,
) -> impl stream::Stream<Item = Result<String, StoreError>> {
    let order = query.order.unwrap_or(JournalOrder::OldestFirst);
    let left = query.limit.map_or(u64::MAX, u64::from);
    let begin = (console, query.filter, query.beyond, left);
    stream::try_unfold(begin, move |(console, filter, beyond, left)| async move {
        let count = left.min(EXPORT_PAGE_ROWS.into()) as u32;
        if count == 0 {
            return Ok(None);
        }
        let from = (order, beyond);
        let rows = console.store.journal_rows(&filter, from, count).await?;
        let beyond = rows.last().map(|row| row.id);
        let left = left - rows.len() as u64;
        let lines: String = rows.into_iter().map(line).collect();
        Ok(beyond.map(|_| (lines, (console, filter, beyond, left))))
    })
}
