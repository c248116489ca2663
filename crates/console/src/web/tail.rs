//! The journal as it grows. One look at the store serves all who watch: what they want is found among the same rows.

use std::sync::{Arc, OnceLock};

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use store::{
    JournalFilter, JournalKind, JournalOrder, JournalRow, JournalStatus, Store, StoreError,
};
use tokio::sync::Mutex;
use tokio::sync::broadcast::{self, error::RecvError};

use super::door::Shared;
use super::events::{self, event};
use super::fields::Fields;
use super::journal::{Line, filter_of, is_filtered};
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
    rows: Vec<Seen>,
    /// Whether there were more rows than are looked at.
    is_cut: bool,
}

/// A row, and its line of the table: written once, whoever is shown it.
struct Seen {
    row: JournalRow,
    line: OnceLock<String>,
}

impl Seen {
    fn new(row: JournalRow) -> Seen {
        let line = OnceLock::new();
        Seen { row, line }
    }

    fn line(&self) -> &str {
        self.line.get_or_init(|| {
            let lines = vec![Line::of(&self.row)];
            // Writing into a String can't fail.
            Rows { lines }.render().unwrap_or_default()
        })
    }
}

/// The looks, for all who watch.
pub(super) struct Tail {
    looks: broadcast::Sender<Arc<Look>>,
    place: Mutex<Place>,
    /// Held by each who wants some rows only: as long as there is one, every row is read.
    filtered: Arc<()>,
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
            filtered: Arc::default(),
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
        let wants_all = Arc::strong_count(&self.filtered) > 1;
        let read = if wants_all {
            let from = (JournalOrder::OldestFirst, Some(last));
            store
                .journal_rows(&JournalFilter::default(), from, LOOK_ROWS)
                .await
        } else {
            newest_after(store, JournalFilter::default(), last).await
        };
        let Ok(mut rows) = read else { return };
        let most = if wants_all {
            LOOK_ROWS as usize
        } else {
            SHOWN_ROWS
        };
        let is_cut = rows.len() == most;
        // What is not looked at is passed over, so that nobody falls behind for good.
        let newest = if is_cut && wants_all {
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
            let rows = rows.into_iter().map(Seen::new).collect();
            let _ = self.looks.send(Arc::new(Look { rows, is_cut }));
        }
    }
}

/// The newest rows beyond one, as many as a page is shown, oldest first.
async fn newest_after(
    store: &Store,
    filter: JournalFilter,
    last: i64,
) -> Result<Vec<JournalRow>, StoreError> {
    // The time bounds what is walked through; the rows of its own millisecond are sorted out after.
    let since_ms = JournalRow::time_of(last).max(filter.since_ms.unwrap_or(0));
    let filter = JournalFilter {
        since_ms: Some(since_ms),
        ..filter
    };
    let from = (JournalOrder::NewestFirst, None);
    let mut rows = store.journal_rows(&filter, from, SHOWN_ROWS as u32).await?;
    rows.retain(|row| row.id > last);
    rows.reverse();
    Ok(rows)
}

/// What a page has been told so far.
struct Watching {
    filter: JournalFilter,
    looks: broadcast::Receiver<Arc<Look>>,
    /// The last row that was there before the looks began.
    last: i64,
    /// Whether rows between the page and the first look have been told.
    has_caught_up: bool,
    /// Says that it wants some rows only.
    _filtered: Option<Arc<()>>,
}

/// The events of one page: `rows` with lines of the table, newest first, `note` with what was left out.
pub(super) async fn events(
    State(console): Shared,
    _visitor: Visitor,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, Refusal> {
    let filter = filter_of(&fields, console.now());
    let seen = headers
        .get("last-event-id")
        .and_then(|value| value.to_str().ok());
    let last = seen.or(Some(fields.get("after"))).and_then(id_from_text);
    let tail = &console.live.tail;
    let watching = Watching {
        _filtered: is_filtered(&fields).then(|| Arc::clone(&tail.filtered)),
        filter,
        looks: tail.begin(&console.store).await,
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
        let filter = watching.filter.clone();
        let rows = newest_after(&console.store, filter, watching.last).await;
        let rows: Vec<_> = rows
            .unwrap_or_default()
            .into_iter()
            .map(Seen::new)
            .collect();
        watching.last = rows.last().map_or(watching.last, |seen| seen.row.id);
        return tell(&rows.iter().collect::<Vec<_>>(), rows.len() == SHOWN_ROWS);
    }
    match tokio::time::timeout(events::REST_MAX, watching.looks.recv()).await {
        Err(_) | Ok(Err(RecvError::Closed)) => String::new(),
        Ok(Err(RecvError::Lagged(_))) => event(
            "note",
            None,
            "This page was too slow; some rows are missing.",
        ),
        Ok(Ok(look)) => {
            let wanted =
                |seen: &&Seen| seen.row.id > watching.last && fits(&watching.filter, &seen.row);
            let rows: Vec<_> = look.rows.iter().filter(wanted).collect();
            tell(&rows, look.is_cut)
        }
    }
}

#[derive(Template)]
#[template(path = "journal_rows.html")]
struct Rows {
    lines: Vec<Line>,
}

/// The events that show rows, oldest first as they are given; `is_cut` if there were more.
fn tell(rows: &[&Seen], is_cut: bool) -> String {
    let Some(newest) = rows.last() else {
        return String::new();
    };
    let left_out = rows.len().saturating_sub(SHOWN_ROWS);
    let lines: String = rows[left_out..]
        .iter()
        .rev()
        .map(|seen| seen.line())
        .collect();
    let plural = if rows.len() == 1 { "" } else { "s" };
    let mut note = format!("{} row{plural} arrived", rows.len());
    match (is_cut, left_out) {
        (false, 0) => {}
        (false, _) => note.push_str(&format!(", {left_out} of them not shown here")),
        (true, _) => note.push_str(", and more that are not shown here"),
    }
    event("rows", Some(&id_text(newest.row.id)), &lines) + &event("note", None, &format!("{note}."))
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
        && (same(&filter.request_id, row.request_id.as_deref())
            || same(&filter.request_id, row.caller_request_id.as_deref()))
        && same(&filter.delivery, row.delivery.as_deref())
        && filter.since_ms.is_none_or(|since| at_ms >= since)
        && filter.until_ms.is_none_or(|until| at_ms < until)
        && filter
            .network
            .is_none_or(|network| row.client.is_some_and(|client| network.contains(&client)))
}
