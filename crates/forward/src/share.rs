//! What part of a limit a process admits that is one of several.

use std::num::NonZeroU32;
use std::sync::Arc;

use shared::SharedCounts;
use store::Store;

/// How many processes admit the calls of a deployment, each by counts of its own: a call counts as that many in each of them, so
/// that together they admit what the limit says. Where calls come to one of them alone, it admits no more than its part.
#[derive(Clone, Default)]
pub struct Share(Option<Arc<dyn Fn() -> u32 + Send + Sync>>);

impl Share {
    /// The share of one of so many processes; asked for each call, so that it has to be quick.
    pub fn of(replicas: impl Fn() -> u32 + Send + Sync + 'static) -> Share {
        Share(Some(Arc::new(replicas)))
    }

    /// The share of a process by what its store says of the others.
    pub(crate) fn of_store(store: &Arc<Store>) -> Share {
        let store = Arc::clone(store);
        Share::of(move || store.replica_count())
    }

    /// One process's while these counts are shared, and otherwise the part that it has.
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

    /// How many processes there are.
    pub(crate) fn replicas(&self) -> u32 {
        self.0.as_ref().map_or(1, |replicas| replicas()).max(1)
    }

    /// How many calls of a limit one call takes, of a limit that admits `at_once` at once: as many as there are processes. A limit that is smaller than the number of
    /// processes can't be divided: each of them admits one call at once, and as many a minute as if there were that many.
    pub(crate) fn cells(&self, at_once: NonZeroU32) -> NonZeroU32 {
        NonZeroU32::new(self.replicas()).map_or(NonZeroU32::MIN, |cells| cells.min(at_once))
    }
}

/// Who counts for a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CountedBy {
    /// This process, or each for its part, as everywhere.
    Unsaid,
    /// All processes together.
    All,
    /// This process for its part, since the shared count is away.
    OneOfMany,
}
