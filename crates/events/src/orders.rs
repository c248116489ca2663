//! The sort orders of the upstream's lists, learned from lists that show it. Lists without datetimes, or within one second, may not
//! show it.

use std::collections::HashMap;

use parking_lot::Mutex;
use store::{ChatMemory, EventChannel};

use crate::diff::{ListKind, ListOrder, order_by_datetime, order_by_memory};
use crate::row::ListedRow;

/// Account, platform, and content of the list.
type OrderKey = (String, String, ListKind);

/// The learned sort orders. They are learned again after a restart.
#[derive(Default)]
pub(crate) struct ListOrders(Mutex<HashMap<OrderKey, ListOrder>>);

impl ListOrders {
    /// Returns the known sort order of such lists.
    pub(crate) fn known(&self, channel: &EventChannel, kind: ListKind) -> Option<ListOrder> {
        self.0.lock().get(&key(channel, kind)).copied()
    }

    /// Records a sort order that was learned from other evidence.
    pub(crate) fn note(&self, channel: &EventChannel, kind: ListKind, order: ListOrder) {
        self.0.lock().insert(key(channel, kind), order);
    }

    /// Learns from a list and returns the sort order of such lists. Datetimes take precedence over the order of earlier events,
    /// because those may have been late.
    pub(crate) fn learn(
        &self,
        channel: &EventChannel,
        kind: ListKind,
        (memory, rows): (&ChatMemory, &[ListedRow]),
    ) -> Option<ListOrder> {
        let known = || self.known(channel, kind);
        let by_datetime = order_by_datetime(rows);
        let order = by_datetime
            .or_else(known)
            .or_else(|| order_by_memory(memory, rows))?;
        self.note(channel, kind, order);
        Some(order)
    }
}

fn key(channel: &EventChannel, kind: ListKind) -> OrderKey {
    (channel.account.clone(), channel.platform.clone(), kind)
}
