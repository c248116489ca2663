//! Commands on a shared store that run without a gateway in this process. All of them return boxed futures, for the reason given at
//! [`serve`](crate::serve::serve).

use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use shared::inspect_counts;
use store::{DatabaseFinding, Journal, Store, inspect_postgres, migrate_postgres, reseal_postgres};

use crate::config::{Config, SharedStore};
use crate::serve::data_folder::DataFolder;

/// The name of a copied table and the number of its rows.
pub type CopyCount = (&'static str, u64);

/// The error of a command on a shared store when the configuration names none.
pub const NO_SHARED_STORE: &str = "the configuration has no shared store (store.kind = \"postgres\"); a store in a file does \
                                   not need this command";

/// Updates the tables of the shared store to this version.
///
/// # Errors
/// One line that states what failed, or that there is no shared store.
#[must_use]
pub fn migrate(config: &Config) -> BoxFuture<'_, Result<(), String>> {
    Box::pin(async {
        let migrated = migrate_postgres(&shared(config)?.options.direct_url).await;
        migrated.map_err(|error| error.to_string())
    })
}

/// Seals all keys of the shared store with the newest key of `store.seal`. Returns the number of sealed keys.
///
/// # Errors
/// One line that states what failed, or that there is no shared store. Then all keys are unchanged.
#[must_use]
pub fn reseal(config: &Config) -> BoxFuture<'_, Result<usize, String>> {
    Box::pin(async {
        let resealed = reseal_postgres(&shared(config)?.options).await;
        resealed.map_err(|error| error.to_string())
    })
}

/// Inspects the shared store and the server of shared counts as a start would find them. Changes nothing.
///
/// # Errors
/// A line that states that neither is configured.
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

/// Copies the store of a data folder into the shared store, which has to be empty. No gateway may run on the data folder. Returns
/// the copied tables and the numbers of their rows.
///
/// # Errors
/// One line that states what failed. Then the shared store is unchanged.
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
            "there is no store {}; give the data folder of a gateway with --from",
            store.display()
        ));
    }
    let _lock = folder.lock()?;
    let store = Store::open(&folder.store())
        .await
        .map_err(|error| error.to_string())?;
    let store = Arc::new(store);
    // Rows that a crash left open get their outcome first.
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
