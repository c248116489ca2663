//! Lookups of idempotency keys, one before each send with a key. Lookups that arrive while a query is under way share the next
//! query.

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::error::PgError;
use super::session::STATEMENT_MAX;
use crate::{Claim, Receipt, StoreError};

/// Maximum number of lookups in one query, which takes some 15 ms of a connection.
const LOOKUPS_PER_QUERY: usize = 512;

/// Maximum number of waiting lookups, the same as of waiting sends. More lookups would wait longer than their callers do.
const LOOKUPS_MAX: usize = 32_768;

/// The result of a lookup. Times are by this process's clock.
pub(super) struct KeyLookupResult {
    pub(super) receipt: Option<Receipt>,
    /// The bytes that the receipts of the access take, and those of all accesses.
    pub(super) taken: (i64, i64),
    /// The time at which the oldest receipt of the access was made.
    pub(super) oldest: Option<i64>,
}

/// The queue of waiting lookups.
#[derive(Default)]
pub(super) struct KeyLookups {
    waiting: Mutex<Vec<KeyLookup>>,
    /// Notified when a lookup arrives.
    comes: Notify,
}

/// A waiting lookup.
pub(super) struct KeyLookup {
    pub(super) claim: Claim,
    /// The hash of the claim's key.
    pub(super) key: Vec<u8>,
    reply: oneshot::Sender<Result<KeyLookupResult, StoreError>>,
}

impl KeyLookups {
    /// Looks up a claim with this hashed key: its receipt, if there is one, and the room that receipts take.
    ///
    /// # Errors
    /// When the database can't be read in time.
    pub(super) async fn ask(
        &self,
        claim: Claim,
        key: Vec<u8>,
    ) -> Result<KeyLookupResult, StoreError> {
        let (reply, looked) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock();
            if waiting.len() == LOOKUPS_MAX {
                return Err(StoreError::new("too many lookups wait"));
            }
            waiting.push(KeyLookup { claim, key, reply });
        }
        self.comes.notify_one();
        match timeout(STATEMENT_MAX, looked).await {
            Ok(Ok(looked)) => looked,
            Ok(Err(_)) => Err(StoreError::new("the store is closed")),
            Err(_) => Err(StoreError::new("the database took too long")),
        }
    }

    /// Waits for lookups. Returns the next batch, without lookups whose callers have left.
    pub(super) async fn next(&self) -> Vec<KeyLookup> {
        loop {
            let next = self.take();
            if !next.is_empty() {
                return next;
            }
            self.comes.notified().await;
        }
    }

    fn take(&self) -> Vec<KeyLookup> {
        let mut waiting = self.waiting.lock();
        waiting.retain(|one| !one.reply.is_closed());
        let count = waiting.len().min(LOOKUPS_PER_QUERY);
        waiting.drain(..count).collect()
    }
}

/// Replies to the callers of a batch. Some of them may have left.
pub(super) fn reply(batch: Vec<KeyLookup>, looked: Result<Vec<KeyLookupResult>, PgError>) {
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
