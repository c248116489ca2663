//! What a store keeps in memory, whatever its engine: all that requests read without touching a disk.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::last_use::LastUses;
use crate::{Accesses, AdminKey, Journal};

/// The memory of one store.
pub(crate) struct StoreMemory {
    pub(crate) accesses: ArcSwap<Accesses>,
    pub(crate) admin_keys: ArcSwap<Vec<AdminKey>>,
    pub(crate) last_uses: LastUses,
    pub(crate) journal: Arc<Journal>,
}
