//! `chatgate serve`: runs a gateway until a signal stops it.

use server::signals::ignore_stray_signals;

use super::check::{config_source, read_config};
use super::error::CommandError;
use super::terminal::print_error;
use crate::args::serve::ServeArgs;

pub(crate) async fn run(args: &ServeArgs) -> Result<(), CommandError> {
    ignore_stray_signals()?;
    let source = config_source(args);
    let (sources, config) = read_config(&source)?;
    let served = gateway::serve(source, sources, config).await;
    let lost = telemetry::finish_log().await;
    if lost > 0 {
        print_error(&format!(
            "the last {lost} lines of the log could not be written to standard output"
        ));
    }
    Ok(served?)
}
