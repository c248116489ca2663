//! The journal as it grows. One read of the store serves all live tails: each finds its rows in the same batch.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use store::{JournalFilter, JournalOrder, JournalRow, Store, StoreError};
use tokio::sync::{Mutex, broadcast};

/// Most rows of one batch: at a thousand calls per second four times as many as come.
const BATCH_ROWS: usize = 2000;

/// Most rows of one batch that one page shows: nobody reads more.
pub(crate) const SHOWN_ROWS: usize = 20;

/// Batches that a page may be behind before it loses some.
const BEHIND_MAX: usize = 8;

/// Most open sends that are waited for at once; beyond that they are shown open.
const OPEN_ROWS: usize = 256;

/// The rows that one poll has found, oldest first.
pub(crate) struct TailBatch {
    pub(crate) rows: Vec<TailRow>,
    /// Whether there were more rows than a batch holds.
    pub(crate) is_cut: bool,
}

/// A row, and its line of the table: rendered once for all pages.
pub(crate) struct TailRow {
    pub(crate) row: JournalRow,
    line: OnceLock<String>,
}

impl TailRow {
    pub(crate) fn new(row: JournalRow) -> TailRow {
        let line = OnceLock::new();
        TailRow { row, line }
    }

    /// Returns the line, which `render` makes when it is first needed.
    pub(crate) fn line(&self, render: impl FnOnce(&JournalRow) -> String) -> &str {
        self.line.get_or_init(|| render(&self.row))
    }
}

/// Polls the journal for all live tails.
pub(crate) struct Tail {
    batches: broadcast::Sender<Arc<TailBatch>>,
    cursor: Mutex<TailCursor>,
    /// Held by each tail with a filter: as long as there is one, every row is read.
    filtered: Arc<()>,
}

/// How far the polls have come.
#[derive(Default)]
struct TailCursor {
    /// The row beyond which the next poll reads; none while nobody watches.
    beyond: Option<i64>,
    /// Rows beyond it that were read already.
    seen: BTreeSet<i64>,
    /// Rows of sends whose outcome is still to come: they are shown when they have one.
    open: Vec<i64>,
}

impl Default for Tail {
    fn default() -> Tail {
        Tail {
            batches: broadcast::Sender::new(BEHIND_MAX),
            cursor: Mutex::default(),
            filtered: Arc::default(),
        }
    }
}

impl Tail {
    /// Subscribes to the batches. A caller that reads the store after this and then the batches misses no row.
    pub(crate) async fn subscribe(&self, store: &Store) -> broadcast::Receiver<Arc<TailBatch>> {
        let batches = self.batches.subscribe();
        let mut cursor = self.cursor.lock().await;
        if cursor.beyond.is_none() {
            cursor.begin(store).await;
        }
        batches
    }

    /// Looks at sends that a page shows as under way. Returns those that have ended; each of the others comes with a batch once it
    /// has, to a page that subscribed before.
    pub(crate) async fn follow(&self, store: &Store, open: &[i64]) -> Vec<JournalRow> {
        // While it is held nothing is polled: what has ended by now and what is waited for are never the same send.
        let mut cursor = self.cursor.lock().await;
        let mut ended = Vec::new();
        for id in open.iter().take(OPEN_ROWS) {
            match store.journal_row(*id).await {
                Ok(Some(row)) if !row.open => ended.push(row),
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => {
                    cursor.wait_for(*id);
                }
            }
        }
        ended
    }

    /// Has every row read as long as the guard lives: its tail has a filter.
    pub(crate) fn read_all(&self) -> Arc<()> {
        Arc::clone(&self.filtered)
    }

    /// Reads the rows that were written since the last poll, if anybody watches.
    pub(crate) async fn poll(&self, store: &Store) {
        let mut cursor = self.cursor.lock().await;
        if self.batches.receiver_count() == 0 {
            *cursor = TailCursor::default();
            return;
        }
        let Some(beyond) = cursor.beyond else {
            cursor.begin(store).await;
            return;
        };
        let wants_all = Arc::strong_count(&self.filtered) > 1;
        let rows_max = if wants_all { BATCH_ROWS } else { SHOWN_ROWS };
        let most = rows_max.saturating_add(cursor.seen.len());
        let read = newest_after(store, JournalFilter::default(), beyond, most).await;
        let Ok(mut rows) = read else { return };
        rows.retain(|row| !cursor.seen.contains(&row.id));
        // Rows beyond the batch are passed over, so that no tail falls behind for good.
        let is_cut = rows.len() >= rows_max;
        rows.drain(..rows.len().saturating_sub(rows_max));
        cursor.advance(store, &rows, is_cut);
        cursor.settle(store, &mut rows).await;
        if !rows.is_empty() {
            let rows = rows.into_iter().map(TailRow::new).collect();
            // An error means that the last tail has gone.
            let _ = self.batches.send(Arc::new(TailBatch { rows, is_cut }));
        }
    }
}

impl TailCursor {
    /// Begins with what is there now.
    async fn begin(&mut self, store: &Store) {
        let Ok(newest) = store.newest_row().await else {
            return;
        };
        let beyond = store.look_back(newest);
        if beyond < newest {
            let rows = newest_after(store, JournalFilter::default(), beyond, BATCH_ROWS).await;
            let Ok(rows) = rows else { return };
            self.seen.extend(rows.iter().map(|row| row.id));
            for row in rows.iter().filter(|row| row.open) {
                self.wait_for(row.id);
            }
        }
        self.beyond = Some(beyond);
    }

    /// These rows, oldest first, were read; `is_cut` if there were more before them.
    fn advance(&mut self, store: &Store, rows: &[JournalRow], is_cut: bool) {
        let (Some(first), Some(newest)) = (rows.first(), rows.last()) else {
            return;
        };
        let passed_over = if is_cut { first.id - 1 } else { 0 };
        let beyond = store.look_back(newest.id).max(passed_over);
        let beyond = self.beyond.map_or(beyond, |before| before.max(beyond));
        self.seen.extend(rows.iter().map(|row| row.id));
        self.seen = self.seen.split_off(&(beyond + 1));
        self.beyond = Some(beyond);
    }

    /// Waits for the end of a send; `false` where too many are waited for.
    fn wait_for(&mut self, id: i64) -> bool {
        let is_known = self.open.contains(&id);
        let waits = is_known || self.open.len() < OPEN_ROWS;
        if waits && !is_known {
            self.open.push(id);
        }
        waits
    }

    /// Adds the sends that have ended since, and holds back those that are still open.
    async fn settle(&mut self, store: &Store, rows: &mut Vec<JournalRow>) {
        // A page may have read a row, and wait for its end, before it comes here.
        self.open.retain(|id| rows.iter().all(|row| row.id != *id));
        for id in std::mem::take(&mut self.open) {
            match store.journal_row(id).await {
                Ok(Some(row)) if !row.open => rows.push(row),
                Ok(None) => {}
                Ok(Some(_)) | Err(_) => self.open.push(id),
            }
        }
        rows.retain(|row| !(row.open && self.wait_for(row.id)));
    }
}

/// Returns the newest rows beyond one, so many at most, oldest first.
pub(crate) async fn newest_after(
    store: &Store,
    filter: JournalFilter,
    beyond: i64,
    rows_max: usize,
) -> Result<Vec<JournalRow>, StoreError> {
    // The time bounds the search; the rows of the same millisecond are sorted out after.
    let since_ms = JournalRow::time_of(beyond).max(filter.since_ms.unwrap_or(0));
    let filter = JournalFilter {
        since_ms: Some(since_ms),
        ..filter
    };
    let from = (JournalOrder::NewestFirst, None);
    let count = u32::try_from(rows_max).unwrap_or(u32::MAX);
    let mut rows = store.journal_page(&filter, from, count).await?.rows;
    rows.retain(|row| row.id > beyond);
    rows.reverse();
    Ok(rows)
}
