//! The share of a limit that one of several processes admits.

use std::num::NonZeroU32;
use std::sync::Arc;

use shared::SharedCounts;
use store::Store;

/// The number of processes that admit the calls of a deployment, each with its own counts. In each process a call takes that many
/// cells, so that together they admit the limit. If all calls reach one process, it admits only its share.
#[derive(Clone, Default)]
pub struct Share(Option<Arc<dyn Fn() -> u32 + Send + Sync>>);

impl Share {
    /// Creates the share from a function that returns the number of processes. It is called for each call, so it has to be quick.
    pub fn of(replicas: impl Fn() -> u32 + Send + Sync + 'static) -> Share {
        Share(Some(Arc::new(replicas)))
    }

    /// Creates the share of a process from the number of replicas in its store.
    pub(crate) fn of_store(store: &Arc<Store>) -> Share {
        let store = Arc::clone(store);
        Share::of(move || store.replica_count())
    }

    /// Returns a share that is the whole limit while these counts are shared, and this share otherwise.
    pub(crate) fn unless_shared(&self, counts: Option<&Arc<SharedCounts>>) -> Share {
        let Some(counts) = counts else {
            return self.clone();
        };
        let (counts, otherwise) = (Arc::clone(counts), self.clone());
        Share::of(move || {
            if counts.is_up() {
                1
            } else {
                otherwise.replicas()
            }
        })
    }

    /// Returns the number of processes.
    pub(crate) fn replicas(&self) -> u32 {
        self.0.as_ref().map_or(1, |replicas| replicas()).max(1)
    }

    /// Returns how many cells one call takes from a limit with a burst of `at_once`: the number of processes. A limit smaller than
    /// the number of processes can't be divided. Then each process admits one call at a time, and as many a minute as if there were
    /// only `at_once` processes.
    pub(crate) fn cells(&self, at_once: NonZeroU32) -> NonZeroU32 {
        NonZeroU32::new(self.replicas()).map_or(NonZeroU32::MIN, |cells| cells.min(at_once))
    }
}

/// The processes that count for a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CountedBy {
    /// This process, with or without a share. Nothing is reported about it.
    Unsaid,
    /// All processes together.
    All,
    /// This process for its share, because the shared counts are away.
    OneOfMany,
}
