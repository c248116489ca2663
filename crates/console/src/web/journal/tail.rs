//! The live tail of the journal: the rows that a page's filter asks for, as they are written.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use http::HeaderMap;
use store::{JournalFilter, JournalRow};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::journal::query::{id_from_text, id_text};
use crate::state::tail::{SHOWN_ROWS, TailBatch, TailRow, newest_after};
use crate::state::{Console, ConsoleState};
use crate::web::fields::Fields;
use crate::web::journal::filters::{filter_of, is_filtered};
use crate::web::journal::line::JournalLine;
use crate::web::page_error::PageError;
use crate::web::sse::{self, event};
use crate::web::visitor::Visitor;

/// The tail of one page.
struct PageTail {
    filter: JournalFilter,
    batches: broadcast::Receiver<Arc<TailBatch>>,
    /// The row beyond which the page's rows begin.
    beyond: i64,
    /// Rows beyond it that the page shows already.
    shown: Vec<i64>,
    /// Whether the rows between the page and the first batch have been sent.
    has_caught_up: bool,
    /// Held by a tail with a filter.
    _read_all: Option<Arc<()>>,
}

/// Streams the events of one page: `rows` with lines of the table, newest first, `note` with what was left out.
pub(crate) async fn events(
    State(console): ConsoleState,
    _visitor: Visitor,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, PageError> {
    let filter = filter_of(&fields, console.now());
    let last_event = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok());
    let after = last_event.unwrap_or_else(|| fields.get("after"));
    let shown: Vec<i64> = after.split(',').filter_map(id_from_text).collect();
    let newest = shown.iter().max().copied();
    let tail = PageTail {
        _read_all: is_filtered(&fields).then(|| console.tail.read_all()),
        filter,
        batches: console.tail.subscribe(&console.store).await,
        beyond: newest.map_or(0, |newest| match last_event {
            // What else the page has shown is not known any more: it shows no row twice.
            Some(_) => newest,
            None => console.store.look_back(newest),
        }),
        shown,
        has_caught_up: newest.is_none(),
    };
    sse::stream(console, headers, tail, |console, tail| {
        Box::pin(next(console, tail))
    })
    .await
    .map_err(PageError::from)
}

async fn next(console: &Console, tail: &mut PageTail) -> Vec<Event> {
    if !tail.has_caught_up {
        tail.has_caught_up = true;
        let filter = tail.filter.clone();
        let most = SHOWN_ROWS + tail.shown.len();
        let rows = newest_after(&console.store, filter, tail.beyond, most).await;
        let mut rows = rows.unwrap_or_default();
        rows.retain(|row| !tail.shown.contains(&row.id));
        rows.drain(..rows.len().saturating_sub(SHOWN_ROWS));
        if let Some(newest) = rows.last() {
            tail.beyond = tail.beyond.max(console.store.look_back(newest.id));
            tail.shown.extend(rows.iter().map(|row| row.id));
        }
        let rows: Vec<_> = rows.into_iter().map(TailRow::new).collect();
        return row_events(&rows.iter().collect::<Vec<_>>(), rows.len() == SHOWN_ROWS);
    }
    match tokio::time::timeout(sse::WAIT_MAX, tail.batches.recv()).await {
        Err(_) | Ok(Err(RecvError::Closed)) => Vec::new(),
        Ok(Err(RecvError::Lagged(_))) => {
            let text = "This page was too slow; some rows are missing.";
            vec![event("note", text)]
        }
        Ok(Ok(batch)) => {
            let is_new = |id| id > tail.beyond && !tail.shown.contains(&id);
            let is_wanted =
                |tailed: &&TailRow| is_new(tailed.row.id) && tail.filter.matches(&tailed.row);
            let rows: Vec<_> = batch.rows.iter().filter(is_wanted).collect();
            row_events(&rows, batch.is_cut)
        }
    }
}

#[derive(Template)]
#[template(path = "journal_rows.html")]
struct JournalLines {
    lines: Vec<JournalLine>,
}

fn render(row: &JournalRow) -> String {
    let lines = vec![JournalLine::of(row)];
    // Writing into a String can't fail.
    JournalLines { lines }.render().unwrap_or_default()
}

/// Writes the events that show these rows, oldest first; `is_cut` if there were more.
fn row_events(rows: &[&TailRow], is_cut: bool) -> Vec<Event> {
    let Some(newest) = rows.last() else {
        return Vec::new();
    };
    let left_out = rows.len().saturating_sub(SHOWN_ROWS);
    let newest_first = rows[left_out..].iter().rev();
    let lines: String = newest_first.map(|tailed| tailed.line(render)).collect();
    let plural = if rows.len() == 1 { "" } else { "s" };
    let mut note = format!("{} row{plural} arrived", rows.len());
    match (is_cut, left_out) {
        (false, 0) => {}
        (false, _) => note.push_str(&format!(", {left_out} of them not shown here")),
        (true, _) => note.push_str(", and more that are not shown here"),
    }
    note.push('.');
    let rows = event("rows", &lines).id(id_text(newest.row.id));
    vec![rows, event("note", &note)]
}
