//! What can be done with a shared store while no gateway of this process runs. All of it returns boxed futures, for the reason
//! that [`serve`](crate::serve::serve) has.

use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use shared::inspect_counts;
use store::{DatabaseFinding, Journal, Store, inspect_postgres, migrate_postgres, reseal_postgres};

use crate::config::{Config, SharedStore};
use crate::serve::data_folder::DataFolder;

/// A table that was copied, and how many rows of it.
pub type CopyCount = (&'static str, u64);

/// Why there is nothing to do for a command on a shared store: a mistake of the configuration.
pub const NO_SHARED_STORE: &str = "the configuration names no shared store (store.kind = \"postgres\"); a file needs none of this";

/// Brings the tables of the shared store up to date.
///
/// # Errors
/// One line that says what failed, or that there is no shared store.
#[must_use]
pub fn migrate(config: &Config) -> BoxFuture<'_, Result<(), String>> {
    Box::pin(async {
        let migrated = migrate_postgres(&shared(config)?.options.direct_url).await;
        migrated.map_err(|error| error.to_string())
    })
}

/// Seals all keys of the shared store by the newest key of `store.seal`. Returns how many they are.
///
/// # Errors
/// One line that says what failed, or that there is no shared store. All keys are as before then.
#[must_use]
pub fn reseal(config: &Config) -> BoxFuture<'_, Result<usize, String>> {
    Box::pin(async {
        let resealed = reseal_postgres(&shared(config)?.options).await;
        resealed.map_err(|error| error.to_string())
    })
}

/// Looks at the shared store and at the server of shared counts as a start would find them, and changes nothing.
///
/// # Errors
/// A line that says that there is neither.
#[must_use]
pub fn inspect(config: &Config) -> BoxFuture<'_, Result<Vec<DatabaseFinding>, String>> {
    Box::pin(inspect_all(config))
}

async fn inspect_all(config: &Config) -> Result<Vec<DatabaseFinding>, String> {
    let mut findings = match (&config.shared_store, &config.shared_counts) {
        (None, None) => return Err(NO_SHARED_STORE.to_owned()),
        (Some(store), _) => inspect_postgres(&store.options).await,
        (None, Some(_)) => Vec::new(),
    };
    if let Some(counts) = &config.shared_counts {
        findings.extend(inspect_counts(counts).await);
    }
    Ok(findings)
}

/// Copies the store of a data folder, on which no gateway runs, into the shared store, which has to be empty. Returns what was
/// copied and how many rows of it.
///
/// # Errors
/// One line that says what failed. The shared store is as before then.
#[must_use]
pub fn copy_store<'a>(
    config: &'a Config,
    from: &'a Path,
    with_journal: bool,
) -> BoxFuture<'a, Result<Vec<CopyCount>, String>> {
    Box::pin(copy_folder(config, from, with_journal))
}

async fn copy_folder(
    config: &Config,
    from: &Path,
    with_journal: bool,
) -> Result<Vec<CopyCount>, String> {
    let database = &shared(config)?.options;
    let folder = DataFolder::new(from);
    if !folder.store().exists() {
        let store = folder.store();
        return Err(format!(
            "there is no store {}; name the data folder of a gateway with --from",
            store.display()
        ));
    }
    let _lock = folder.lock()?;
    let store = Store::open(&folder.store())
        .await
        .map_err(|error| error.to_string())?;
    let store = Arc::new(store);
    // What a crash has left open gets its outcome first.
    let journal = Journal::start(&store)
        .await
        .map_err(|error| error.to_string())?;
    journal.stop().await;
    let copied = store.copy_into(database, with_journal).await;
    store.close().await;
    copied.map_err(|error| error.to_string())
}

fn shared(config: &Config) -> Result<&SharedStore, String> {
    let text = || NO_SHARED_STORE.to_owned();
    config.shared_store.as_ref().ok_or_else(text)
}
