//! What is given back, without a caller that waits: gathered for a moment, and sent together.

use std::sync::{Mutex, MutexGuard, PoisonError};

use redis::ScriptInvocation;
use tokio::sync::Notify;

use crate::keys::ValkeyKey;
use crate::limit::CountLimit;
use crate::scripts::SCRIPTS;

/// Most that waits to be given back. What finds no room comes back by time, as it would have if it had been used.
const WAITING_MAX: usize = 16_384;

/// Most that are sent together: a server takes some 70,000 scripts a second.
pub(crate) const BATCH_MAX: usize = 256;

/// One thing that is given back.
#[derive(Debug)]
pub(crate) enum GiveBack {
    /// What was taken of a count.
    Cells {
        key: ValkeyKey,
        limit: CountLimit,
        cells: u32,
    },
    /// A turn that is over.
    Turn { key: ValkeyKey, id: String },
}

/// What waits to be given back.
#[derive(Default)]
pub(crate) struct GiftQueue {
    waiting: Mutex<Vec<GiveBack>>,
    filled: Notify,
}

impl GiftQueue {
    /// Adds something; where there is no room any more, nothing.
    pub(crate) fn push(&self, gift: GiveBack) {
        let mut waiting = self.waiting();
        if waiting.len() < WAITING_MAX {
            waiting.push(gift);
            drop(waiting);
            self.note();
        }
    }

    /// Something waits, here or elsewhere.
    pub(crate) fn note(&self) {
        self.filled.notify_one();
    }

    /// Waits until there is something.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// Takes everything.
    pub(crate) fn take(&self) -> Vec<GiveBack> {
        std::mem::take(&mut *self.waiting())
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<GiveBack>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GiveBack {
    /// The script that gives it back.
    pub(crate) fn script(&self) -> ScriptInvocation<'_> {
        match self {
            GiveBack::Cells { key, limit, cells } => {
                let mut gives = SCRIPTS.give.key(&key.0);
                gives.arg(limit.interval_us).arg(*cells);
                gives
            }
            GiveBack::Turn { key, id } => {
                let mut ends = SCRIPTS.end_turn.key(&key.0);
                ends.arg(id);
                ends
            }
        }
    }
}
