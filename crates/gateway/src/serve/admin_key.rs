//! Replaces the first operator's key while no gateway runs.

use std::sync::Arc;

use store::{Journal, JournalKind, JournalRow, Store};

use crate::serve::bootstrap::{open_hasher, put_first_operator};
use crate::serve::data_folder::DataFolder;
use crate::state::snapshot::Snapshot;

/// Generates a new key for the first operator and writes it to its file. The journal records the change.
///
/// # Errors
/// One line that states what failed.
pub async fn reset_admin_key(data: &DataFolder) -> Result<(), String> {
    if !data.store().exists() {
        let store = data.store();
        return Err(format!(
            "there is no store {}; give the data folder of a gateway with --data",
            store.display()
        ));
    }
    data.make()?;
    let _lock = data.lock()?;
    let store = Store::open(&data.store()).await.map(Arc::new);
    let store = store.map_err(|error| error.to_string())?;
    let reset = reset(data, &store).await;
    store.close().await;
    reset
}

async fn reset(data: &DataFolder, store: &Arc<Store>) -> Result<(), String> {
    let hasher = open_hasher(store).await?;
    let key = data.make_admin_key()?;
    put_first_operator(store, &hasher, &key).await?;
    let journal = Journal::start(store).await;
    let journal = journal.map_err(|error| error.to_string())?;
    journal.add(JournalRow {
        at_ms: Snapshot::now_ms(),
        kind: JournalKind::Change,
        actor: Some("the data folder".into()),
        cause: Some("a new key for the first operator".into()),
        ..JournalRow::default()
    });
    journal.stop().await;
    Ok(())
}
