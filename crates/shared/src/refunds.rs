//! The queue of calls and leases to give back. They are collected for a moment and then sent together; no caller waits for that.

use parking_lot::Mutex;
use redis::ScriptInvocation;
use tokio::sync::Notify;

use crate::keys::ValkeyKey;
use crate::limit::CountLimit;
use crate::scripts::SCRIPTS;

/// Maximum number of entries that wait to be sent. An entry that does not fit is dropped: calls become available again as time
/// passes, as if they had been used, and a lease counts until it expires.
const WAITING_MAX: usize = 16_384;

/// Maximum number of entries that are sent together. A server runs about 70,000 scripts a second.
pub(crate) const BATCH_MAX: usize = 256;

/// One entry to give back.
#[derive(Debug)]
pub(crate) enum Refund {
    /// Calls that were taken from a count.
    Cells {
        key: ValkeyKey,
        limit: CountLimit,
        cells: u32,
    },
    /// A lease that has ended.
    Lease { key: ValkeyKey, id: String },
}

/// The queue of entries to give back.
#[derive(Default)]
pub(crate) struct RefundQueue {
    waiting: Mutex<Vec<Refund>>,
    filled: Notify,
}

impl RefundQueue {
    /// Adds an entry, or drops it if the queue is full.
    pub(crate) fn push(&self, refund: Refund) {
        let mut waiting = self.waiting.lock();
        if waiting.len() < WAITING_MAX {
            waiting.push(refund);
            drop(waiting);
            self.notify();
        }
    }

    /// Wakes the sending task, because an entry or a message for other processes waits.
    pub(crate) fn notify(&self) {
        self.filled.notify_one();
    }

    /// Waits until something is to be sent.
    pub(crate) async fn wait(&self) {
        self.filled.notified().await;
    }

    /// Returns entries to the queue, as far as they fit, to be sent with the next ones.
    pub(crate) fn put_back(&self, refunds: impl Iterator<Item = Refund>) {
        let mut waiting = self.waiting.lock();
        let room = WAITING_MAX.saturating_sub(waiting.len());
        waiting.extend(refunds.take(room));
    }

    /// Takes all entries.
    pub(crate) fn take(&self) -> Vec<Refund> {
        std::mem::take(&mut *self.waiting.lock())
    }
}

impl Refund {
    /// Returns whether this is the end of a lease. It may be sent twice, but calls may not.
    pub(crate) fn is_lease(&self) -> bool {
        matches!(self, Refund::Lease { .. })
    }

    /// Returns the script that gives the entry back.
    pub(crate) fn script(&self) -> ScriptInvocation<'_> {
        match self {
            Refund::Cells { key, limit, cells } => {
                let mut gives = SCRIPTS.refund.key(&key.0);
                gives.arg(limit.interval_us).arg(*cells);
                gives
            }
            Refund::Lease { key, id } => {
                let mut ends = SCRIPTS.end_lease.key(&key.0);
                ends.arg(id);
                ends
            }
        }
    }
}
