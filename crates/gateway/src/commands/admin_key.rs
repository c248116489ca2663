//! `chatgate admin-key`: the way back for an operator whose key is lost, by the right to the data folder.

use std::sync::Arc;

use store::{Journal, JournalKind, JournalRow, SecretHasher, Store, StoreError};

use super::output::print;
use crate::cli::AdminKeyCommand;
use crate::serve::HASH_KEY_BYTES;
use crate::serve::bootstrap::put_first_operator;
use crate::serve::data_folder::{DataFolder, random};
use crate::state::snapshot::Gate;

/// Makes a new key for the first operator and puts it into its file. The journal keeps that it was done.
pub(crate) async fn admin_key_command(command: AdminKeyCommand) -> Result<(), String> {
    let AdminKeyCommand::Reset(args) = command;
    let data = DataFolder::new(&args.data);
    if !data.store().exists() {
        let store = data.store();
        return Err(format!(
            "there is no store {}; name a data folder in use with --data",
            store.display()
        ));
    }
    data.make()?;
    let _lock = data.lock()?;
    let store = Store::open(&data.store()).await.map(Arc::new);
    let store = store.map_err(|error| error.to_string())?;
    let reset = reset(&data, &store).await;
    store.close().await;
    reset?;
    let file = data.admin_key();
    print(format!(
        "The first operator's new key is in {}\n",
        file.display()
    ))
}

async fn reset(data: &DataFolder, store: &Arc<Store>) -> Result<(), String> {
    let make_key = || random(HASH_KEY_BYTES).map_err(StoreError::new);
    let key = store.key("secrets", Gate::now(), make_key).await;
    let hasher = SecretHasher::new(&key.map_err(|error| error.to_string())?);
    let key = data.make_admin_key()?;
    put_first_operator(store, &hasher, &key).await?;
    let journal = Journal::start(store).await;
    let journal = journal.map_err(|error| error.to_string())?;
    journal.add(JournalRow {
        at_ms: Gate::now_ms(),
        kind: JournalKind::Change,
        actor: Some("the data folder".into()),
        cause: Some("a new key for the first operator".into()),
        ..JournalRow::default()
    });
    journal.stop().await;
    Ok(())
}
