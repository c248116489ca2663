//! The data that a store of any engine holds in memory, so that requests read it without a disk access.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arc_swap::ArcSwap;

use crate::last_use::LastUses;
use crate::{Access, Accesses, AdminKey, ChangedAccess, Journal};

/// The memory of one store.
pub(crate) struct StoreMemory {
    pub(crate) accesses: ArcSwap<Accesses>,
    pub(crate) admin_keys: ArcSwap<Vec<AdminKey>>,
    pub(crate) last_uses: LastUses,
    pub(crate) journal: Arc<Journal>,
    /// Number of destinations erased since the start.
    pub(crate) erasures: AtomicU64,
}

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
            erasures: AtomicU64::new(0),
        }
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
