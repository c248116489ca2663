//! How the upstream sorts its lists, learned from those that show it: one without datetimes, or of one second, may not.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use store::{ChatMemory, EventChannel};

use crate::diff::{ListKind, ListOrder, order_by_datetime, order_by_memory};
use crate::row::ListedRow;

/// Account, platform, and what a list has.
type OrderKey = (String, String, ListKind);

/// What has been learned. It is learned again after a restart.
#[derive(Default)]
pub(crate) struct ListOrders(Mutex<HashMap<OrderKey, ListOrder>>);

impl ListOrders {
    /// What is known of such lists.
    pub(crate) fn known(&self, channel: &EventChannel, kind: ListKind) -> Option<ListOrder> {
        self.lock().get(&key(channel, kind)).copied()
    }

    /// Notes what something else than a list has shown.
    pub(crate) fn note(&self, channel: &EventChannel, kind: ListKind, order: ListOrder) {
        self.lock().insert(key(channel, kind), order);
    }

    /// Learns from a list, and returns what is known of such lists. Datetimes are believed more than what was shown before, which
    /// may have been shown late.
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

    fn lock(&self) -> MutexGuard<'_, HashMap<OrderKey, ListOrder>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(channel: &EventChannel, kind: ListKind) -> OrderKey {
    (channel.account.clone(), channel.platform.clone(), kind)
}
