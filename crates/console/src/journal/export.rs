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
    let mut ranges = accepts
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    ranges.any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_named = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(NDJSON));
        // A weight of nothing refuses it (RFC 9110, 12.4.2).
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        is_named && weight.is_none_or(|weight| weight.parse() != Ok(0.0))
    })
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
    let begin = Some((console, query.filter, query.beyond, left));
    stream::try_unfold(begin, move |from_here| async move {
        let Some((console, filter, beyond, left)) = from_here.filter(|(.., left)| *left > 0) else {
            return Ok(None);
        };
        let count = left.min(EXPORT_PAGE_ROWS.into()) as u32;
        let page = console.store.journal_page(&filter, (order, beyond), count);
        let page = page.await?;
        let left = left - page.rows.len() as u64;
        let lines: String = page.rows.into_iter().map(line).collect();
        let rest = page.next.map(|next| (console, filter, Some(next), left));
        Ok(Some((lines, rest)))
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn an_export_is_what_is_asked_for_by_name_and_with_a_weight() {
        for (accept, expected) in [
            ("application/x-ndjson", true),
            ("text/html, Application/X-NDJSON;q=0.5", true),
            ("application/x-ndjson; charset=utf-8 ; q=1", true),
            ("application/json", false),
            ("application/x-ndjson;q=0", false),
            ("application/x-ndjson; q=0.000, */*", false),
            ("application/x-ndjsonish", false),
        ] {
            let headers =
                HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert_eq!(wants_ndjson(&headers), expected, "{accept}");
        }
    }
}
