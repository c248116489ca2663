//! `chatgate check`, and the code with which every start reads its configuration.

use std::path::Path;

use gateway::config::Config;
use serde_json::json;
use settings::{ConfigError, ConfigSource, Flag, Sources};

use super::error::CommandError;
use super::output::{print, print_json, table};
use super::terminal::print_warning;
use crate::args::serve::{CheckArgs, ServeArgs};

pub(crate) async fn run(args: &CheckArgs) -> Result<(), CommandError> {
    let source = config_source(&args.serve);
    let read = Config::read(&source.read().map_err(CommandError::Usage)?);
    for warning in read.iter().flat_map(Config::warnings) {
        print_warning(&warning);
    }
    if let (Ok(config), true) = (&read, args.online) {
        return online(config, args.json).await;
    }
    if !args.json {
        read.map_err(|errors| all_errors(source.file.as_deref(), &errors))?;
        return Ok(print("The configuration is valid.\n")?);
    }
    let errors = read.err().unwrap_or_default();
    let list: Vec<_> = errors.iter().map(ConfigError::to_json).collect();
    print_json(&list.into())?;
    match errors.len() {
        0 => Ok(()),
        1 => Err(CommandError::Usage("there is one mistake".to_owned())),
        count => Err(CommandError::Usage(format!("there are {count} mistakes"))),
    }
}

/// Checks the database as well, and prints the findings.
async fn online(config: &Config, as_json: bool) -> Result<(), CommandError> {
    if config.shared_store.is_none() && config.shared_counts.is_none() {
        return Err(CommandError::Usage(gateway::NO_SHARED_STORE.to_owned()));
    }
    let findings = gateway::inspect(config).await?;
    let wrong = findings.iter().filter(|(_, found)| found.is_err()).count();
    if as_json {
        let list = findings.iter().map(|(what, found)| {
            let text = found.as_ref().unwrap_or_else(|wrong| wrong);
            json!({"what": what, "is_right": found.is_ok(), "text": text})
        });
        print_json(&list.collect())?;
    } else {
        let rows = findings.iter().map(|(what, found)| match found {
            Ok(text) => [(*what).to_owned(), "right".to_owned(), text.clone()],
            Err(text) => [(*what).to_owned(), "wrong".to_owned(), text.clone()],
        });
        print(table(["WHAT", "STATE", "FOUND"], rows.collect()))?;
    }
    match wrong {
        0 => Ok(()),
        1 => Err(CommandError::Failed("one check failed".to_owned())),
        count => Err(CommandError::Failed(format!("{count} checks failed"))),
    }
}

/// Returns the configuration, both as written and as used, or all errors in it.
pub(crate) fn read_config(source: &ConfigSource) -> Result<(Sources, Config), CommandError> {
    let sources = source.read().map_err(CommandError::Usage)?;
    match Config::read(&sources) {
        Ok(config) => Ok((sources, config)),
        Err(errors) => Err(all_errors(source.file.as_deref(), &errors)),
    }
}

/// Returns the file and the flags from the command line.
pub(crate) fn config_source(args: &ServeArgs) -> ConfigSource {
    let sandbox = args.sandbox.then(|| "true".to_owned());
    let flags = [
        ("server.data", "--data", &args.data),
        ("server.listen", "--listen", &args.listen),
        ("server.admin_listen", "--admin", &args.admin),
        ("upstream.sandbox", "--sandbox", &sandbox),
    ];
    let set = flags.into_iter().filter_map(|(key, name, value)| {
        let value = value.clone()?;
        Some((key, Flag { name, value }))
    });
    ConfigSource {
        file: args.config.clone(),
        flags: set.collect(),
    }
}

fn all_errors(file: Option<&Path>, errors: &[ConfigError]) -> CommandError {
    let name = file.map_or("configuration".into(), |path| path.display().to_string());
    let lines: Vec<_> = errors
        .iter()
        .map(|error| format!("{name}: {error}"))
        .collect();
    CommandError::Usage(lines.join("\n"))
}
