//! What is given back, without a caller that waits: gathered for a moment, and sent as one batch.

use std::sync::{Mutex, MutexGuard, PoisonError};

use redis::Pipeline;
use tokio::sync::Notify;

use crate::keys::ValkeyKey;
use crate::limit::CountLimit;
use crate::scripts::SCRIPTS;

/// Most that waits to be given back. What finds no room comes back by time, as it would have if it had been used.
const WAITING_MAX: usize = 16_384;

/// Most of one batch: a server takes some 70,000 scripts a second.
pub(crate) const BATCH_MAX: usize = 256;

/// One thing that is given back.
#[derive(Debug)]
pub(crate) struct GiveBack {
    pub(crate) key: ValkeyKey,
    pub(crate) limit: CountLimit,
    pub(crate) cells: u32,
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
            self.filled.notify_one();
        }
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

/// The batch of these.
pub(crate) fn batch(gifts: &[GiveBack]) -> Pipeline {
    let mut batch = redis::pipe();
    for GiveBack { key, limit, cells } in gifts {
        let command = batch.cmd("EVAL").arg(&SCRIPTS.give).arg(1).arg(&key.0);
        command.arg(limit.interval_us).arg(*cells).ignore();
    }
    batch
}
