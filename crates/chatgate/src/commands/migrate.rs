//! `chatgate migrate`: brings the tables of a shared store up to date, so that gateways may start with store.migrate = "check".

use super::check::{config_source, read_config};
use super::error::CommandError;
use super::output::print;
use crate::args::serve::MigrateArgs;

pub(crate) async fn run(args: &MigrateArgs) -> Result<(), CommandError> {
    let (_, config) = read_config(&config_source(&args.serve))?;
    gateway::migrate(&config).await?;
    Ok(print("The tables are up to date.\n")?)
}
