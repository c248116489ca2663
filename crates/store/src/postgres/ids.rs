//! The ids of rows: known before they are written, and no other replica's.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwap;

use crate::journal::row::first_id_at;

/// Bits of an id below the replica's slot: 4,096 rows of a replica in each millisecond. A replica that has more takes those of
/// the next.
const SEQUENCE_BITS: u32 = 12;

/// This process in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReplicaId {
    /// Its number, which no other life of a process has.
    pub(super) id: i64,
    /// Its place in the ids of rows; another may have it after the end of this one.
    pub(super) slot: i64,
}

/// The ids of one replica. They grow.
pub(super) struct RowIds {
    replica: ArcSwap<ReplicaId>,
    last: AtomicI64,
}

impl RowIds {
    pub(super) fn of(replica: ReplicaId) -> RowIds {
        RowIds {
            replica: ArcSwap::from_pointee(replica),
            last: AtomicI64::new(0),
        }
    }

    /// Whose they are.
    pub(super) fn replica(&self) -> ReplicaId {
        **self.replica.load()
    }

    /// Another life begins.
    pub(super) fn begin(&self, replica: ReplicaId) {
        self.replica.store(Arc::new(replica));
    }

    /// An id for a row of this time, by the database's clock in milliseconds since 1970.
    pub(super) fn next(&self, at_ms: i64) -> i64 {
        let slot = self.replica().slot << SEQUENCE_BITS;
        let first = first_id_at(at_ms) | slot;
        let after = |last: i64| {
            let sequence_is_full = (last + 1) & ((1 << SEQUENCE_BITS) - 1) == 0;
            if sequence_is_full {
                // The first of the next millisecond.
                first_id_at((last >> 20) + 1) | slot
            } else {
                last + 1
            }
        };
        let taken = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(first.max(after(last)))
            });
        // The update never refuses.
        let last = taken.unwrap_or_else(|last| last);
        first.max(after(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JournalRow;

    #[test]
    fn ids_grow_hold_their_time_and_stay_in_their_slot() {
        let ids = RowIds::of(ReplicaId { id: 1, slot: 7 });
        let mut last = 0;
        for n in 0..10_000 {
            let id = ids.next(1_700_000_000_000);
            assert!(id > last);
            assert_eq!(JournalRow::time_of(id), 1_700_000_000_000 + n / 4096);
            assert_eq!((id >> SEQUENCE_BITS) & 0xff, 7);
            last = id;
        }
        assert!(ids.next(1) > last, "a clock that goes back");
    }
}
