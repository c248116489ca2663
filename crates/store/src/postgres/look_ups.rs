//! Look-ups of idempotency keys, one before each send that carries one. Those that come while one is under way are asked together.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::error::PgError;
use super::session::STATEMENT_MAX;
use crate::{Claim, Receipt, StoreError};

/// Most that are asked together: some 15 ms of a connection.
const LOOK_UPS_AT_ONCE: usize = 512;

/// Most that wait, as many as sends may: what comes beyond them would wait longer than its caller does.
const LOOK_UPS_MAX: usize = 32_768;

/// What is there where a claim wants to be. Times are by this process's clock.
pub(super) struct Looked {
    pub(super) receipt: Option<Receipt>,
    /// The bytes that the receipts of the access take, and those of all.
    pub(super) taken: (i64, i64),
    /// When the oldest of the access was made.
    pub(super) oldest: Option<i64>,
}

/// Look-ups that wait.
#[derive(Default)]
pub(super) struct LookUps {
    waiting: Mutex<Vec<LookUp>>,
    /// One has come.
    comes: Notify,
}

/// One of them.
pub(super) struct LookUp {
    pub(super) claim: Claim,
    /// The hash of its key.
    pub(super) key: Vec<u8>,
    reply: oneshot::Sender<Result<Looked, StoreError>>,
}

impl LookUps {
    /// What is there where a claim with this hashed key wants to be.
    ///
    /// # Errors
    /// When the database can't be read in time.
    pub(super) async fn ask(&self, claim: Claim, key: Vec<u8>) -> Result<Looked, StoreError> {
        let (reply, looked) = oneshot::channel();
        {
            let mut waiting = self.waiting();
            if waiting.len() == LOOK_UPS_MAX {
                return Err(StoreError::new("too many look-ups wait"));
            }
            waiting.push(LookUp { claim, key, reply });
        }
        self.comes.notify_one();
        match timeout(STATEMENT_MAX, looked).await {
            Ok(Ok(looked)) => looked,
            Ok(Err(_)) => Err(StoreError::new("the store has ended")),
            Err(_) => Err(StoreError::new("the database took too long")),
        }
    }

    /// Waits for some, and returns those that are asked next, without those whose callers have left.
    pub(super) async fn next(&self) -> Vec<LookUp> {
        loop {
            let next = self.take();
            if !next.is_empty() {
                return next;
            }
            self.comes.notified().await;
        }
    }

    fn take(&self) -> Vec<LookUp> {
        let mut waiting = self.waiting();
        waiting.retain(|one| !one.reply.is_closed());
        let count = waiting.len().min(LOOK_UPS_AT_ONCE);
        waiting.drain(..count).collect()
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<LookUp>> {
        // No push or drain can panic half way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Replies to the callers of a batch. Some may have left.
pub(super) fn reply(batch: Vec<LookUp>, looked: Result<Vec<Looked>, PgError>) {
    match looked {
        Ok(looked) => {
            for (one, looked) in batch.into_iter().zip(looked) {
                let _ = one.reply.send(Ok(looked));
            }
        }
        Err(error) => {
            let text = error.to_string();
            for one in batch {
                let _ = one.reply.send(Err(StoreError::new(text.clone())));
            }
        }
    }
}
