//! The live tail of the journal. One read of the store serves all pages that watch: each page picks its rows from the same batch.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use store::{JournalFilter, JournalOrder, JournalRow, Store, StoreError};
use tokio::sync::{Mutex, broadcast};

/// Maximum number of rows in one batch: four times as many as arrive between two polls at a thousand calls per second.
const BATCH_ROWS: usize = 2000;

/// Maximum number of rows of one batch that one page shows, because nobody can read more.
pub(crate) const SHOWN_ROWS: usize = 20;

/// Maximum number of batches that a page may lag behind before it loses some.
const BEHIND_MAX: usize = 8;

/// Maximum number of open sends that wait for their outcome. Further open sends are shown immediately as open.
const OPEN_ROWS: usize = 256;

/// The rows that one poll found, oldest first.
pub(crate) struct TailBatch {
    pub(crate) rows: Vec<TailRow>,
    /// True if there were more rows than a batch can hold.
    pub(crate) is_cut: bool,
}

/// A row and its table line, which is rendered once for all pages.
pub(crate) struct TailRow {
    pub(crate) row: JournalRow,
    line: OnceLock<String>,
}

impl TailRow {
    pub(crate) fn new(row: JournalRow) -> TailRow {
        let line = OnceLock::new();
        TailRow { row, line }
    }

    /// Returns the line. The first call renders it with `render`.
    pub(crate) fn line(&self, render: impl FnOnce(&JournalRow) -> String) -> &str {
        self.line.get_or_init(|| render(&self.row))
    }
}

/// The poller of the journal for all live tails.
pub(crate) struct Tail {
    batches: broadcast::Sender<Arc<TailBatch>>,
    cursor: Mutex<TailCursor>,
    /// Each tail with a filter holds a clone. While a clone exists, every poll reads a full batch.
    filtered: Arc<()>,
}

/// The position of the polls in the journal.
#[derive(Default)]
struct TailCursor {
    /// The next poll reads rows after this row; `None` while no page watches.
    beyond: Option<i64>,
    /// Rows after `beyond` that were already read.
    seen: BTreeSet<i64>,
    /// Rows of open sends. They are shown once the send has an outcome.
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
    /// Subscribes to the batches. A caller that first subscribes, then reads the store, and then reads the batches misses no row.
    pub(crate) async fn subscribe(&self, store: &Store) -> broadcast::Receiver<Arc<TailBatch>> {
        let batches = self.batches.subscribe();
        let mut cursor = self.cursor.lock().await;
        if cursor.beyond.is_none() {
            cursor.begin(store).await;
        }
        batches
    }

    /// Follows sends that a page shows as in progress. Returns the sends that have ended. Each of the others arrives in a batch
    /// once it has ended, if the page subscribed before.
    pub(crate) async fn follow(&self, store: &Store, open: &[i64]) -> Vec<JournalRow> {
        // No poll runs while the lock is held, so that no send is both returned here as ended and waited for.
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

    /// Makes every poll read a full batch as long as the returned guard lives, because its tail has a filter.
    pub(crate) fn read_all(&self) -> Arc<()> {
        Arc::clone(&self.filtered)
    }

    /// Reads the rows that were written since the last poll, if any page watches.
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
        // Older rows that exceed the batch are skipped, so that no tail stays behind forever.
        let is_cut = rows.len() >= rows_max;
        rows.drain(..rows.len().saturating_sub(rows_max));
        cursor.advance(store, &rows, is_cut);
        cursor.settle(store, &mut rows).await;
        if !rows.is_empty() {
            let rows = rows.into_iter().map(TailRow::new).collect();
            // Sending fails only if the last tail has disconnected.
            let _ = self.batches.send(Arc::new(TailBatch { rows, is_cut }));
        }
    }
}

impl TailCursor {
    /// Starts at the newest row of the journal.
    async fn begin(&mut self, store: &Store) {
        let Ok(newest) = store.newest_row().await else {
            return;
        };
        let beyond = store.reread_from(newest);
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

    /// Records that these rows, oldest first, were read; `is_cut` means that there were more before them.
    fn advance(&mut self, store: &Store, rows: &[JournalRow], is_cut: bool) {
        let (Some(first), Some(newest)) = (rows.first(), rows.last()) else {
            return;
        };
        let passed_over = if is_cut { first.id - 1 } else { 0 };
        let beyond = store.reread_from(newest.id).max(passed_over);
        let beyond = self.beyond.map_or(beyond, |before| before.max(beyond));
        self.seen.extend(rows.iter().map(|row| row.id));
        self.seen = self.seen.split_off(&(beyond + 1));
        self.beyond = Some(beyond);
    }

    /// Waits for the end of a send. Returns `false` if too many sends are waited for already.
    fn wait_for(&mut self, id: i64) -> bool {
        let is_known = self.open.contains(&id);
        let waits = is_known || self.open.len() < OPEN_ROWS;
        if waits && !is_known {
            self.open.push(id);
        }
        waits
    }

    /// Adds the sends that have ended since the last poll, and holds back the sends that are still open.
    async fn settle(&mut self, store: &Store, rows: &mut Vec<JournalRow>) {
        // A page may read a row and start to wait for its end before a poll reads the same row.
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

/// Returns the newest rows after the row `beyond`, at most `rows_max`, oldest first.
pub(crate) async fn newest_after(
    store: &Store,
    filter: JournalFilter,
    beyond: i64,
    rows_max: usize,
) -> Result<Vec<JournalRow>, StoreError> {
    // The time limits the search. Rows of the same millisecond that are not after `beyond` are removed afterwards.
    let since_ms = JournalRow::time_of(beyond).max(filter.since_ms.unwrap_or(0));
    let filter = JournalFilter {
        since_ms: Some(since_ms),
        ..filter
    };
    let from = (JournalOrder::NewestFirst, None);
    let count = u32::try_from(rows_max).unwrap_or(u32::MAX);
    let page = store.journal_page_without_answers(&filter, from, count);
    let mut rows = page.await?.rows;
    rows.retain(|row| row.id > beyond);
    rows.reverse();
    Ok(rows)
}
