//! The journal as it grows. One look at the store serves all who watch: what they want is found among the same rows.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Uri};
use store::{JournalFilter, JournalKind, JournalOrder, JournalRow, JournalStatus, Store};
use tokio::sync::Mutex;
use tokio::sync::broadcast::{self, error::RecvError};

use super::events::{self, event};
use super::journal::{Line, filter_of};
use super::visitor::{Refusal, Visitor};
use crate::Console;
use crate::journal::{id_from_text, id_text};

/// Most rows of one look: at a thousand calls per second four times as many as come.
const LOOK_ROWS: u32 = 2000;

/// Most rows of one look that one page gets: more nobody reads.
const SHOWN_ROWS: usize = 20;

/// Looks that a page may be behind before it loses some.
const BEHIND_MAX: usize = 8;

/// Most sends that are waited for at once; beyond that they are shown open.
const OPEN_ROWS: usize = 256;

/// What one look has found, oldest first.
struct Look {
    rows: Vec<JournalRow>,
    /// Whether there were more rows than are looked at.
    is_cut: bool,
}

/// The looks, for all who watch.
pub(super) struct Tail {
    looks: broadcast::Sender<Arc<Look>>,
    place: Mutex<Place>,
}

/// How far the looks have come.
#[derive(Default)]
struct Place {
    /// The last row that was seen; none while nobody watches.
    last: Option<i64>,
    /// Rows of sends whose outcome is still to come: they are told when they have one.
    open: Vec<i64>,
}

impl Tail {
    pub(super) fn new() -> Tail {
        Tail {
            looks: broadcast::Sender::new(BEHIND_MAX),
            place: Mutex::default(),
        }
    }

    /// Begins, if nobody watched so far: whoever looks at the store after this and listens misses nothing.
    async fn begin(&self, store: &Store) -> broadcast::Receiver<Arc<Look>> {
        let looks = self.looks.subscribe();
        let mut place = self.place.lock().await;
        if place.last.is_none() {
            place.last = store.newest_row().await.ok();
        }
        looks
    }

    /// Looks at what has been written since the last time, if anybody watches.
    pub(super) async fn look(&self, store: &Store) {
        let mut place = self.place.lock().await;
        if self.looks.receiver_count() == 0 {
            *place = Place::default();
            return;
        }
        let Some(last) = place.last else {
            place.last = store.newest_row().await.ok();
            return;
        };
        let from = (JournalOrder::OldestFirst, Some(last));
        let everything = JournalFilter::default();
        let Ok(mut rows) = store.journal_rows(&everything, from, LOOK_ROWS).await else {
            return;
        };
        let is_cut = rows.len() == LOOK_ROWS as usize;
        // What is not looked at is passed over, so that nobody falls behind for good.
        let newest = if is_cut {
            store.newest_row().await.ok()
        } else {
            None
        };
        place.last = newest.or(rows.last().map(|row| row.id)).or(place.last);
        for id in std::mem::take(&mut place.open) {
            match store.journal_row(id).await {
                Ok(Some(row)) if row.open => place.open.push(id),
                Ok(Some(row)) => rows.push(row),
                Ok(None) | Err(_) => {}
            }
        }
        let open = &mut place.open;
        rows.retain(|row| {
            let waits = row.open && open.len() < OPEN_ROWS;
            if waits {
                open.push(row.id);
            }
            !waits
        });
        if !rows.is_empty() {
            // An error means that the last who watched has gone.
            let _ = self.looks.send(Arc::new(Look { rows, is_cut }));
        }
    }
}

/// What a page has been told so far.
struct Watching {
    filter: JournalFilter,
    looks: broadcast::Receiver<Arc<Look>>,
    /// The last row that was there before the looks began.
    last: i64,
    /// Whether rows between the page and the first look have been told.
    has_caught_up: bool,
}

/// The events of one page: `rows` with lines of the table, newest first, `note` with what was left out.
pub(super) async fn events(
    State(console): State<Arc<Console>>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Refusal> {
    Visitor::of(&console, &headers, &uri)?;
    let (filter, fields) = filter_of(&uri, console.now());
    let seen = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok());
    let last = seen.or(Some(fields.get("after"))).and_then(id_from_text);
    let watching = Watching {
        filter,
        looks: console.live.tail.begin(&console.store).await,
        last: last.unwrap_or(0),
        has_caught_up: last.is_none(),
    };
    events::stream(console, headers, watching, |console, watching| {
        Box::pin(next(console, watching))
    })
    .map_err(Refusal::from)
}

async fn next(console: &Console, watching: &mut Watching) -> String {
    if !watching.has_caught_up {
        watching.has_caught_up = true;
        let from = (JournalOrder::OldestFirst, Some(watching.last));
        let rows = console
            .store
            .journal_rows(&watching.filter, from, SHOWN_ROWS as u32)
            .await;
        let rows = rows.unwrap_or_default();
        watching.last = rows.last().map_or(watching.last, |row| row.id);
        return Watching::tell(&rows.iter().collect::<Vec<_>>(), false);
    }
    match tokio::time::timeout(events::REST_MAX, watching.looks.recv()).await {
        Err(_) | Ok(Err(RecvError::Closed)) => String::new(),
        Ok(Err(RecvError::Lagged(_))) => event(
            "note",
            None,
            "This page was too slow; some rows are missing.",
        ),
        Ok(Ok(look)) => {
            let wanted = |row: &&JournalRow| row.id > watching.last && fits(&watching.filter, row);
            let rows: Vec<_> = look.rows.iter().filter(wanted).collect();
            Watching::tell(&rows, look.is_cut)
        }
    }
}

#[derive(Template)]
#[template(path = "journal_rows.html")]
struct Rows {
    lines: Vec<Line>,
}

impl Watching {
    fn tell(rows: &[&JournalRow], is_cut: bool) -> String {
        let Some(newest) = rows.last() else {
            return String::new();
        };
        let left_out = rows.len().saturating_sub(SHOWN_ROWS);
        let lines = rows[left_out..]
            .iter()
            .rev()
            .map(|row| Line::of(row))
            .collect();
        let Ok(text) = (Rows { lines }).render() else {
            return String::new();
        };
        let plural = if rows.len() == 1 { "" } else { "s" };
        let mut note = format!("{} row{plural} arrived", rows.len());
        if left_out > 0 || is_cut {
            let more = if is_cut { "at least " } else { "" };
            note.push_str(&format!(", {more}{left_out} of them not shown here"));
        }
        event("rows", Some(&id_text(newest.id)), &text) + &event("note", None, &format!("{note}."))
    }
}

/// Whether a row is one that the filter asks for, as the store finds them.
fn fits(filter: &JournalFilter, row: &JournalRow) -> bool {
    let same = |wanted: &Option<String>, there: Option<&str>| {
        wanted.as_deref().is_none_or(|wanted| there == Some(wanted))
    };
    let at_ms = JournalRow::time_of(row.id);
    let status = match &filter.status {
        None => true,
        Some(JournalStatus::Wire(status)) => row.status == Some(*status),
        Some(JournalStatus::Code(code)) => row.code.as_deref() == Some(code),
        Some(JournalStatus::Success) => {
            row.code.is_none() && row.kind == JournalKind::Request && !row.open
        }
    };
    status
        && same(&filter.access, row.access.as_deref())
        && same(&filter.method, row.method.as_deref())
        && same(&filter.request_id, row.request_id.as_deref())
        && same(&filter.delivery, row.delivery.as_deref())
        && filter.since_ms.is_none_or(|since| at_ms >= since)
        && filter.until_ms.is_none_or(|until| at_ms < until)
        && filter
            .network
            .is_none_or(|network| row.client.is_some_and(|client| network.contains(&client)))
}
