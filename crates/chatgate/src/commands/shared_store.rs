//! Commands on a shared store, which need its configuration and no running gateway.

use std::path::PathBuf;

use gateway::NO_SHARED_STORE;
use gateway::config::Config;
use serde_json::{Value, json};

use super::check::{config_source, read_config};
use super::error::CommandError;
use super::output::{print, print_json, table};
use super::progress::{TransferProgress, during};
use crate::args::serve::{ServeArgs, SharedStoreArgs, StoreCopyArgs};

/// `chatgate migrate`: updates the tables, so that gateways can start with store.migrate = "check".
pub(crate) async fn migrate(args: &SharedStoreArgs) -> Result<(), CommandError> {
    gateway::migrate(&config(args.config.as_ref())?).await?;
    Ok(print("The tables are up to date.\n")?)
}

/// `chatgate keys reseal`: seals all keys again.
pub(crate) async fn reseal(args: &SharedStoreArgs) -> Result<(), CommandError> {
    let keys = gateway::reseal(&config(args.config.as_ref())?).await?;
    Ok(print(format!(
        "{keys} keys are sealed with the first key of store.seal; its other keys are no longer needed.\n"
    ))?)
}

/// `chatgate store copy`: copies the store of a data folder into a shared store.
pub(crate) async fn copy(args: &StoreCopyArgs) -> Result<(), CommandError> {
    let config = config(args.config.as_ref())?;
    let copying = gateway::copy_store(&config, &args.from, args.journal);
    let copied = during("Copying the store", &TransferProgress::default(), copying).await?;
    if args.json {
        let rows = copied
            .into_iter()
            .map(|(name, rows)| (name.to_owned(), json!(rows)));
        return Ok(print_json(&Value::Object(rows.collect()))?);
    }
    let rows = copied.into_iter();
    let rows = rows.map(|(name, rows)| [name.replace('_', " "), rows.to_string()]);
    Ok(print(table(["COPIED", "ROWS"], rows.collect()))?)
}

fn config(file: Option<&PathBuf>) -> Result<Config, CommandError> {
    let serve = ServeArgs {
        config: file.cloned(),
        ..ServeArgs::default()
    };
    let (_, config) = read_config(&config_source(&serve))?;
    if config.shared_store.is_none() {
        return Err(CommandError::Usage(NO_SHARED_STORE.to_owned()));
    }
    Ok(config)
}
