//! Reads the log, from memory if it reaches back far enough, otherwise from disk.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use store::{EventPage, Position, Store, StoreError};
use tokio::sync::Semaphore;

use crate::hub::EventHub;

/// Approximate maximum size of the rows on one page, in bytes.
pub const PAGE_BYTES: usize = 256 * 1024;

/// Maximum number of concurrent page reads from the store, so that many readers that reconnect at the same time do not take the
/// store's connections from calls.
const STORE_READS_MAX: usize = 4;

/// Reads the log.
pub struct EventReader {
    store: Arc<Store>,
    hub: Arc<EventHub>,
    reads: Semaphore,
    /// The known number of erasures at the time when the memory was last cleared.
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

    /// Returns the events after a position, oldest first, at most `limit` events and about [`PAGE_BYTES`]. A reader whose position
    /// is below `trimmed` has missed events.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn page(&self, after: Position, limit: usize) -> Result<EventPage, StoreError> {
        let erasures = self.store.erasures();
        if self.erasures.swap(erasures, Ordering::AcqRel) != erasures {
            self.hub.clear();
        }
        if self.store.knows_erasures()
            && let Some(page) = self.hub.page(after, limit, PAGE_BYTES)
        {
            return Ok(page);
        }
        let closed = |_| StoreError::new("the log of events is closed");
        let _permit = self.reads.acquire().await.map_err(closed)?;
        self.store.events_after(after, limit, PAGE_BYTES).await
    }

    /// Returns the newest known position.
    #[must_use]
    pub fn newest(&self) -> Position {
        self.hub.newest()
    }
}
