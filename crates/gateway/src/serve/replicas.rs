//! What this process does because others share its store.

use std::sync::Arc;
use std::time::Duration;

use console::KeyRow;
use tokio::time::{Instant, sleep};

use crate::state::current::Runtime;

/// Longest wait of an operator for a new key to sign.
const SIGNS_WAIT: Duration = Duration::from_secs(2);

/// Pause between two looks whether it does.
const SIGNS_LOOK: Duration = Duration::from_millis(20);

/// Pause after a key could not be let sign: the store is failing.
const LET_SIGN_AGAIN: Duration = Duration::from_secs(1);

/// Takes over signing keys that another replica has made or removed, and has new ones sign as soon as all verify by them, until
/// the task is aborted.
pub(super) async fn follow_signing_keys(runtime: Arc<Runtime>) {
    let store = Arc::clone(&runtime.snapshot().store);
    let Some(mut changes) = store.signing_key_changes() else {
        return;
    };
    // What was made between the start's look and this one is taken over as well.
    changes.mark_changed();
    while changes.changed().await.is_ok() {
        let change = *changes.borrow_and_update();
        take_over_signing_keys(&runtime, change).await;
        // All replicas look; which of them sees it first does not matter.
        while runtime.snapshot().tokens.has_waiting_key() && !changes.has_changed().unwrap_or(true)
        {
            if let Err(error) = store.let_keys_sign().await {
                tracing::warn!(%error, "a new signing key can't be let sign");
                sleep(LET_SIGN_AGAIN).await;
            }
        }
    }
}

async fn take_over_signing_keys(runtime: &Runtime, change: i64) {
    // A reload or a rotation here has the keys in hand.
    let _held = runtime.loaded.lock().await;
    let snapshot = runtime.snapshot();
    match snapshot.tokens.reread(&snapshot.store).await {
        Ok(()) => snapshot.store.signing_keys_in_force(change),
        Err(error) => tracing::error!(error, "signing keys can't be read"),
    }
}

/// Waits until no key waits to sign any more, for as long as an operator may wait, and returns the keys as they are then.
pub(super) async fn keys_that_sign(runtime: &Runtime) -> Vec<KeyRow> {
    let until = Instant::now() + SIGNS_WAIT;
    while runtime.snapshot().tokens.has_waiting_key() && Instant::now() < until {
        sleep(SIGNS_LOOK).await;
    }
    runtime.snapshot().tokens.rows()
}
