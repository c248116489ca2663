//! Ids of rows. They are known before the rows are written, and no other replica uses them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arc_swap::ArcSwap;

use crate::journal::row::first_id_at;

/// Number of bits of an id below the replica's slot: 4,096 rows of a replica per millisecond. A replica with more rows takes the
/// ids of the next millisecond.
const SEQUENCE_BITS: u32 = 12;

/// The bits of the replica's slot in an id.
const SLOT_MASK: i64 = 0xff << SEQUENCE_BITS;

/// The identity of this process in the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReplicaId {
    /// The number of this life of the process. No other life has it.
    pub(super) id: i64,
    /// The slot of this replica in the ids of rows. Another replica may get the slot after the end of this one.
    pub(super) slot: i64,
}

/// The generator of one replica's ids, which always grow.
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

    /// Returns the replica that the ids belong to.
    pub(super) fn replica(&self) -> ReplicaId {
        **self.replica.load()
    }

    /// Switches to another life.
    pub(super) fn begin(&self, replica: ReplicaId) {
        self.replica.store(Arc::new(replica));
    }

    /// Returns the id of a row with this time, by the database's clock in milliseconds since 1970.
    pub(super) fn next(&self, at_ms: i64) -> i64 {
        let slot = self.replica().slot << SEQUENCE_BITS;
        let first = first_id_at(at_ms) | slot;
        let after = |last: i64| {
            let is_ours = (last + 1) & SLOT_MASK == slot;
            if is_ours {
                last + 1
            } else {
                // The sequence is full, or the last id has the slot of an earlier life: the first id of the next millisecond.
                first_id_at((last >> 20) + 1) | slot
            }
        };
        let taken = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(first.max(after(last)))
            });
        // The closure always returns `Some`, so the update never fails.
        let last = taken.unwrap_or_else(|last| last);
        first.max(after(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::JournalRow;

    #[test]
    fn row_ids_increase_and_encode_their_time_and_slot() {
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

    #[test]
    fn row_ids_keep_increasing_under_a_new_replica_id_and_use_its_slot() {
        let slot_of = |id: i64| (id >> SEQUENCE_BITS) & 0xff;
        let ids = RowIds::of(ReplicaId { id: 1, slot: 7 });
        let mut last = ids.next(1_700_000_000_000);
        for (life, slot) in [(2, 3), (3, 9), (4, 0), (5, 255), (6, 254)] {
            ids.begin(ReplicaId { id: life, slot });
            for at_ms in [1_700_000_000_000, 1] {
                let id = ids.next(at_ms);
                assert!(id > last);
                assert_eq!(slot_of(id), slot);
                last = id;
            }
        }
    }
}
