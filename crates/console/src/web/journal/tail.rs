//! The live tail of a journal page: streams the rows that match the page's filter, as they are written.

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

/// Maximum number of sends in progress that a page waits for: the number of rows that console.js retains.
const OPEN_MAX: usize = 200;

/// The character before the id of a send in progress.
const OPEN: char = '~';

/// The state of one page's tail.
struct PageTail {
    filter: JournalFilter,
    batches: broadcast::Receiver<Arc<TailBatch>>,
    /// The page's rows begin after this row.
    beyond: i64,
    /// Rows after `beyond` that the page already shows.
    shown: Vec<i64>,
    /// Sends that the page shows as in progress.
    open: Vec<i64>,
    /// The newest row of the page.
    newest: i64,
    /// True if the rows between the page and the first batch have been sent.
    has_caught_up: bool,
    /// The guard that a tail with a filter holds so that every poll reads a full batch.
    _read_all: Option<Arc<()>>,
}

/// Writes the state from which a tail continues: rows that a page shows, including the newest, and the page's sends in progress.
pub(crate) fn after_text(shown: &[i64], open: &[i64]) -> String {
    let shown = shown.iter().map(|id| id_text(*id));
    let open = open.iter().map(|id| format!("{OPEN}{}", id_text(*id)));
    shown.chain(open).collect::<Vec<_>>().join(",")
}

/// Reads the state that [`after_text`] writes.
fn read_after(text: &str) -> (Vec<i64>, Vec<i64>) {
    let parts = text.split(',');
    let (open, shown): (Vec<_>, Vec<_>) = parts.partition(|part| part.starts_with(OPEN));
    let open = open.iter().map(|part| part.trim_start_matches(OPEN));
    (
        shown.into_iter().filter_map(id_from_text).collect(),
        open.filter_map(id_from_text).collect(),
    )
}

/// Streams the events of one page: `rows` with lines of the table, newest first, and `note` with a sentence about new and omitted
/// rows.
pub(crate) async fn events(
    State(console): ConsoleState,
    _visitor: Visitor,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, PageError> {
    let filter = filter_of(&fields, console.judged_now());
    let last_event = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok());
    let (shown, open) = read_after(last_event.unwrap_or_else(|| fields.get("after")));
    let newest = shown.iter().max().copied();
    let tail = PageTail {
        _read_all: is_filtered(&fields).then(|| console.tail.read_all()),
        filter,
        batches: console.tail.subscribe(&console.store).await,
        beyond: newest.map_or(0, |newest| match last_event {
            // After a reconnect it is unknown which older rows the page has shown. Continue after the newest row, so that no row is
            // shown twice.
            Some(_) => newest,
            None => console.store.reread_from(newest),
        }),
        shown,
        open,
        newest: newest.unwrap_or(0),
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
        return tail.catch_up(console).await;
    }
    match tokio::time::timeout(sse::WAIT_MAX, tail.batches.recv()).await {
        Err(_) | Ok(Err(RecvError::Closed)) => Vec::new(),
        Ok(Err(RecvError::Lagged(_))) => {
            // The missed batches may have contained ends of sends.
            let ended = console.tail.follow(&console.store, &tail.open).await;
            let ended: Vec<_> = ended.into_iter().map(TailRow::new).collect();
            let mut events = tail.show(ended.iter(), false);
            let text = "This page was too slow, so some rows are missing.";
            events.push(event("note", text));
            events
        }
        Ok(Ok(batch)) => tail.show(batch.rows.iter(), batch.is_cut),
    }
}

impl PageTail {
    /// Returns the events for the rows that arrived between the page and the first batch.
    async fn catch_up(&mut self, console: &Console) -> Vec<Event> {
        let filter = self.filter.clone();
        let most = SHOWN_ROWS + self.shown.len();
        let rows = newest_after(&console.store, filter, self.beyond, most).await;
        let mut rows = rows.unwrap_or_default();
        rows.retain(|row| !self.shown.contains(&row.id));
        rows.drain(..rows.len().saturating_sub(SHOWN_ROWS));
        let is_cut = rows.len() == SHOWN_ROWS;
        let came_open = rows.iter().filter(|row| row.open).map(|row| row.id);
        let open: Vec<_> = self.open.iter().copied().chain(came_open).collect();
        let ended = console.tail.follow(&console.store, &open).await;
        rows.retain(|row| ended.iter().all(|ended| ended.id != row.id));
        rows.extend(ended);
        let rows: Vec<_> = rows.into_iter().map(TailRow::new).collect();
        let events = self.show(rows.iter(), is_cut);
        let newest = console.store.reread_from(self.newest);
        self.beyond = self.beyond.max(newest);
        self.shown.extend(rows.iter().map(|tailed| tailed.row.id));
        events
    }

    /// Returns the events for the new rows among these, oldest first; `is_cut` means that there were more.
    fn show<'a>(&mut self, rows: impl Iterator<Item = &'a TailRow>, is_cut: bool) -> Vec<Event> {
        let (mut ended, mut arrived) = (Vec::new(), Vec::new());
        for tailed in rows {
            let row = &tailed.row;
            let is_new = row.id > self.beyond && !self.shown.contains(&row.id);
            if !row.open && self.open.contains(&row.id) {
                self.open.retain(|id| *id != row.id);
                ended.push(tailed);
            } else if is_new && self.filter.matches(row) {
                self.newest = self.newest.max(row.id);
                arrived.push(tailed);
            }
        }
        let left_out = arrived.len().saturating_sub(SHOWN_ROWS);
        let shown = arrived[left_out..].iter().rev();
        let came_open = shown.clone().filter(|tailed| tailed.row.open);
        self.open.extend(came_open.map(|tailed| tailed.row.id));
        let gone = self.open.len().saturating_sub(OPEN_MAX);
        self.open.drain(..gone);
        let lines = shown.chain(&ended).map(|tailed| tailed.line(render));
        let lines: String = lines.collect();
        if lines.is_empty() {
            return Vec::new();
        }
        let after = after_text(&[self.newest], &self.open);
        let note = note((arrived.len(), left_out), ended.len(), is_cut);
        vec![event("rows", &lines).id(after), event("note", &note)]
    }
}

#[derive(Template)]
#[template(path = "journal_rows.html")]
struct JournalLines {
    lines: Vec<JournalLine>,
}

fn render(row: &JournalRow) -> String {
    let lines = vec![JournalLine::of(row)];
    // Writing into a `String` can't fail.
    JournalLines { lines }.render().unwrap_or_default()
}

/// Describes an update: the number of new rows, how many of them were omitted, and the number of sends that ended.
fn note((arrived, left_out): (usize, usize), ended: usize, is_cut: bool) -> String {
    let counted = |count: usize, what: &str| {
        let plural = if count == 1 { "" } else { "s" };
        format!("{count} {what}{plural}")
    };
    let mut parts = Vec::new();
    if arrived > 0 {
        parts.push(format!("{} arrived", counted(arrived, "row")));
    }
    match (is_cut, left_out) {
        (false, 0) => {}
        (false, _) => parts.push(format!("{left_out} of them are not shown")),
        (true, _) => parts.push("and further rows are not shown".to_owned()),
    }
    if ended > 0 {
        parts.push(format!("{} ended", counted(ended, "send")));
    }
    format!("{}.", parts.join(", "))
}
