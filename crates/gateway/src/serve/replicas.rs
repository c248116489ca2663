//! What this process does because others share its store.

use std::sync::Arc;

use store::migrate_postgres;

use crate::config::Config;
use crate::state::current::Runtime;

/// Brings the tables of the shared store up to date.
///
/// # Errors
/// One line that says what failed, or that there is no shared store.
pub async fn migrate(config: &Config) -> Result<(), String> {
    let Some(shared) = &config.shared_store else {
        let text =
            "the configuration names no shared store; a file is brought up to date at each start";
        return Err(text.to_owned());
    };
    let migrated = migrate_postgres(&shared.options.direct_url).await;
    migrated.map_err(|error| error.to_string())
}

/// Takes over signing keys that another replica has made or removed, until the task is aborted.
pub(super) async fn follow_signing_keys(runtime: Arc<Runtime>) {
    let store = Arc::clone(&runtime.snapshot().store);
    let Some(mut changes) = store.signing_key_changes() else {
        return;
    };
    // What was made between the start's look and this one is taken over as well.
    changes.mark_changed();
    while changes.changed().await.is_ok() {
        let change = *changes.borrow_and_update();
        // A reload or a rotation here has the keys in hand.
        let _held = runtime.loaded.lock().await;
        let snapshot = runtime.snapshot();
        match snapshot.tokens.reread(&store).await {
            Ok(()) => store.signing_keys_in_force(change),
            Err(error) => tracing::error!(error, "signing keys can't be read"),
        }
    }
}
