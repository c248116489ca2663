//! The data that a store of any engine holds in memory, so that requests read it without a disk access.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::last_use::LastUses;
use crate::{Access, Accesses, AdminKey, ChangedAccess, Journal, StoreError};

/// The memory of one store.
pub(crate) struct StoreMemory {
    pub(crate) accesses: ArcSwap<Accesses>,
    pub(crate) admin_keys: ArcSwap<Vec<AdminKey>>,
    pub(crate) last_uses: LastUses,
    pub(crate) journal: Arc<Journal>,
    /// The ids of webhooks that this process could not read, so that each is logged once.
    unreadable_webhooks: Mutex<HashSet<String>>,
    /// Number of destinations that this process has erased.
    pub(crate) erasures: AtomicU64,
    /// The number of erasures in the log of a shared store, and the time before it was read.
    counted: Mutex<Option<(Instant, u64)>>,
}

/// Time for which a count of erasures is current, longer than the pause between two reads of the log. An erasure ends later than this
/// after it has deleted events, so that no replica shows them from its memory afterwards.
pub(crate) const COUNT_HOLDS: Duration = Duration::from_secs(3);

impl StoreMemory {
    pub(crate) fn new(
        accesses: Accesses,
        admin_keys: Vec<AdminKey>,
        last_uses: LastUses,
    ) -> StoreMemory {
        StoreMemory {
            accesses: ArcSwap::from_pointee(accesses),
            admin_keys: ArcSwap::from_pointee(admin_keys),
            last_uses,
            journal: Arc::new(Journal::new()),
            unreadable_webhooks: Mutex::default(),
            erasures: AtomicU64::new(0),
            counted: Mutex::default(),
        }
    }

    /// Logs that a webhook can't be read, once for each webhook.
    pub(crate) fn log_unreadable_webhook(&self, id: &str, error: &StoreError) {
        if self.unreadable_webhooks.lock().insert(id.to_owned()) {
            tracing::error!(webhook = id, %error, "this version can't read a webhook, and does not serve it");
        }
    }

    /// Records the number of erasures in the log, as read after this time.
    pub(crate) fn count_erasures(&self, asked: Instant, erasures: u64) {
        let mut counted = self.counted.lock();
        if counted.is_none_or(|(known, _)| known < asked) {
            *counted = Some((asked, erasures));
        }
    }

    /// Returns the last known number of erasures in the log, and whether it is current.
    pub(crate) fn counted_erasures(&self) -> (u64, bool) {
        let counted = *self.counted.lock();
        counted.map_or((0, false), |(asked, erasures)| {
            (erasures, asked.elapsed() < COUNT_HOLDS)
        })
    }

    /// Applies changes to the snapshot of accesses, and removes the uses of accesses that no longer exist. The caller must prevent
    /// other changes during the call.
    pub(crate) fn apply(&self, changed: Vec<ChangedAccess>) -> Arc<Accesses> {
        let before = self.accesses.load_full();
        let there = changed.iter().filter_map(|(name, _)| before.named(name));
        let there: Vec<Arc<Access>> = there.cloned().collect();
        let after = Arc::new(before.with(changed));
        self.accesses.store(Arc::clone(&after));
        for access in there {
            if after.of_client(&access.client_id).is_none() {
                self.last_uses.forget(&access.client_id);
            }
        }
        after
    }
}
