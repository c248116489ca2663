//! Reading the log: from memory where that goes back far enough, else from the disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use store::{EventPage, Position, Store, StoreError};
use tokio::sync::Semaphore;

use crate::hub::EventHub;

/// Most bytes of rows on one page, by and large.
pub const PAGE_BYTES: usize = 256 * 1024;

/// Pages that are read from the store at once: readers that come back all together must not take its connections from calls.
const STORE_READS_MAX: usize = 4;

/// Reads the log.
pub struct EventReader {
    store: Arc<Store>,
    hub: Arc<EventHub>,
    reads: Semaphore,
    /// The erasures by which the memory has been dropped.
    erasures: AtomicU64,
}

impl EventReader {
    pub(crate) fn new(store: Arc<Store>, hub: Arc<EventHub>) -> EventReader {
        EventReader {
            store,
            hub,
            reads: Semaphore::new(STORE_READS_MAX),
            erasures: AtomicU64::new(0),
        }
    }

    /// The events beyond a position, the oldest first, at most so many and about [`PAGE_BYTES`] of them. A reader whose position
    /// lies below `trimmed` has missed some.
    ///
    /// # Errors
    /// When the store can't be read.
    pub async fn page(&self, after: Position, limit: usize) -> Result<EventPage, StoreError> {
        let erasures = self.store.erasures();
        if self.erasures.swap(erasures, Ordering::AcqRel) != erasures {
            self.hub.clear();
        }
        if let Some(page) = self.hub.page(after, limit, PAGE_BYTES) {
            return Ok(page);
        }
        let closed = |_| StoreError::new("the log of events is closed");
        let _turn = self.reads.acquire().await.map_err(closed)?;
        self.store.events_after(after, limit, PAGE_BYTES).await
    }

    /// The newest position that is known.
    #[must_use]
    pub fn newest(&self) -> Position {
        self.hub.newest()
    }
}
