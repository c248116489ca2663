//! Follows the signing keys that other replicas change in the shared store.

use std::sync::Arc;
use std::time::Duration;

use console::KeyRow;
use tokio::time::{Instant, sleep};

use crate::state::current::Runtime;

/// Maximum time that an operator waits until a new key signs.
const SIGNS_WAIT: Duration = Duration::from_secs(2);

/// Pause between two checks whether the new key signs.
const SIGNS_LOOK: Duration = Duration::from_millis(20);

/// Pause after a failed attempt to let a key sign, because the store is failing.
const ACTIVATE_RETRY: Duration = Duration::from_secs(1);

/// Pause after a failed attempt to read the keys. Until it succeeds, what this replica knows does not count as current.
const READ_AGAIN: Duration = Duration::from_secs(1);

/// Takes over signing keys that another replica has added or removed, until the task is aborted. Lets new keys sign as soon as all
/// replicas use them for verification.
pub(super) async fn follow_signing_keys(runtime: Arc<Runtime>) {
    let store = Arc::clone(&runtime.snapshot().store);
    let Some(mut changes) = store.signing_key_changes() else {
        return;
    };
    // Keys that were added between the reading at the start and this subscription are also taken over.
    changes.mark_changed();
    while changes.changed().await.is_ok() {
        let change = *changes.borrow_and_update();
        while !take_over_signing_keys(&runtime, change).await
            && !changes.has_changed().unwrap_or(true)
        {
            sleep(READ_AGAIN).await;
        }
        // All replicas check this; any of them may let the key sign.
        while runtime.snapshot().tokens.has_waiting_key() && !changes.has_changed().unwrap_or(true)
        {
            if let Err(error) = store.activate_keys().await {
                tracing::warn!(%error, "a new signing key can't be activated");
                sleep(ACTIVATE_RETRY).await;
            }
        }
    }
}

/// Reads the keys as of this change and uses them. Returns whether this succeeded.
async fn take_over_signing_keys(runtime: &Runtime, change: i64) -> bool {
    // Waits for a reload or rotation in this process, which may be changing the keys.
    let _held = runtime.loaded.lock().await;
    let snapshot = runtime.snapshot();
    match snapshot.tokens.reread(&snapshot.store).await {
        Ok(true) => snapshot.store.signing_keys_in_force(change),
        Ok(false) => snapshot.store.signing_keys_unread(change),
        Err(error) => {
            tracing::error!(error, "signing keys can't be read");
            return false;
        }
    }
    true
}

/// Waits until no key is left that does not sign yet, at most for the time that an operator may wait. Returns the keys of that
/// moment.
pub(super) async fn keys_that_sign(runtime: &Runtime) -> Vec<KeyRow> {
    let until = Instant::now() + SIGNS_WAIT;
    while runtime.snapshot().tokens.has_waiting_key() && Instant::now() < until {
        sleep(SIGNS_LOOK).await;
    }
    runtime.snapshot().tokens.rows()
}
