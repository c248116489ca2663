//! Exports the journal: streams all rows that a query finds.

use std::sync::Arc;

use futures_util::stream;
use http::{HeaderMap, header};
use store::{JournalOrder, JournalRow, Store, StoreError};

use crate::journal::query::JournalQuery;
use crate::journal::rows::row_view;

/// Number of rows read at a time: some megabytes if the accesses journal full answers.
const EXPORT_PAGE_ROWS: u32 = 100;

/// The media type of an export.
pub(crate) const NDJSON: &str = "application/x-ndjson";

/// Returns whether a request asks for all rows instead of a page of rows.
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
        // A weight of zero means "not acceptable" (RFC 9110, 12.4.2).
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        is_named && weight.is_none_or(|weight| weight.parse() != Ok(0.0))
    })
}

/// Streams all rows as lines of JSON.
///
/// # Errors
/// Returns an error if the store can't be read.
pub(crate) async fn export(
    store: Arc<Store>,
    query: JournalQuery,
) -> Result<impl stream::Stream<Item = Result<String, StoreError>>, StoreError> {
    export_as(store, query, |row| format!("{}\n", row_view(row, true))).await
}

/// Streams all current rows, oldest first by default. Reads one page of rows at a time, so that memory and the store hold no more
/// than one page. Omits rows that are written during the export, because a reader that is slower than the writers would never reach
/// the end.
///
/// # Errors
/// Returns an error if the store can't be read.
pub(crate) async fn export_as(
    store: Arc<Store>,
    query: JournalQuery,
    line: fn(JournalRow) -> String,
) -> Result<impl stream::Stream<Item = Result<String, StoreError>>, StoreError> {
    // If the flush fails, the unwritten rows are missing, but all others can still be read.
    let _ = store.journal().flush().await;
    let mut filter = query.filter;
    filter.up_to = Some(store.newest_row().await?);
    let order = query.order.unwrap_or(JournalOrder::OldestFirst);
    let left = query.limit.map_or(u64::MAX, u64::from);
    let begin = Some((store, filter, query.beyond, left));
    Ok(stream::try_unfold(begin, move |from_here| async move {
        let Some((store, filter, beyond, left)) = from_here.filter(|(.., left)| *left > 0) else {
            return Ok(None);
        };
        let count = left.min(EXPORT_PAGE_ROWS.into()) as u32;
        let page = store.journal_page(&filter, (order, beyond), count).await?;
        let left = left - page.rows.len() as u64;
        let lines: String = page.rows.into_iter().map(line).collect();
        let rest = page.next.map(|next| (store, filter, Some(next), left));
        Ok(Some((lines, rest)))
    }))
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;
    use http::HeaderValue;
    use store::Journal;

    use super::*;

    /// The clock of the later rows is correct, ahead, or behind. In all three cases the row's number determines its position.
    #[tokio::test]
    async fn an_export_ends_with_the_rows_that_existed_when_it_began() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("chatgate.db")).await;
        let store = Arc::new(store.unwrap());
        let journal = Journal::start(&store).await.unwrap();
        let add = async |at_ms: i64, count: u32| {
            for _ in 0..count {
                let row = JournalRow {
                    at_ms,
                    ..JournalRow::default()
                };
                journal.add(row);
            }
            journal.flush().await.unwrap();
        };
        let rows = 2 * EXPORT_PAGE_ROWS + EXPORT_PAGE_ROWS / 2;
        add(5000, rows).await;
        let query = JournalQuery::parse("follow=true", 5).unwrap();
        let all = export(Arc::clone(&store), query).await.unwrap();
        let (mut all, mut read) = (std::pin::pin!(all), 0);
        while let Some(lines) = all.try_next().await.unwrap() {
            read += lines.lines().count();
            assert!(read <= rows as usize, "it reads on for ever");
            for at_ms in [1000, 5000, 9_000_000] {
                add(at_ms, EXPORT_PAGE_ROWS).await;
            }
        }
        assert_eq!(read, rows as usize);
    }

    #[test]
    fn an_export_needs_an_accept_header_with_its_type_and_a_nonzero_weight() {
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
