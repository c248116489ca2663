//! `chatgate check`, and how every start reads its configuration.

use std::collections::BTreeMap;
use std::path::Path;

use super::Failure;
use super::output::{print, print_aside, print_json};
use crate::cli::{CheckArgs, ServeArgs};
use crate::config::{Config, Mistake, Sources};
use crate::file_rights;

pub(crate) fn check_command(args: &CheckArgs) -> Result<(), Failure> {
    let read = Config::read(&read_sources(&args.serve).map_err(Failure::Usage)?);
    for warning in read.iter().flat_map(Config::warnings) {
        print_aside(&format!("warning: {warning}"));
    }
    if !args.json {
        read.map_err(|mistakes| told(args.serve.config.as_deref(), &mistakes))?;
        return Ok(print("The configuration is right.\n")?);
    }
    let mistakes = read.err().unwrap_or_default();
    let list: Vec<_> = mistakes.iter().map(Mistake::to_json).collect();
    print_json(&list.into())?;
    match mistakes.len() {
        0 => Ok(()),
        1 => Err(Failure::Usage("there is one mistake".to_owned())),
        count => Err(Failure::Usage(format!("there are {count} mistakes"))),
    }
}

/// The configuration as written and as used, or every mistake in it.
pub(crate) fn read_config(args: &ServeArgs) -> Result<(Sources, Config), Failure> {
    let sources = read_sources(args).map_err(Failure::Usage)?;
    match Config::read(&sources) {
        Ok(config) => Ok((sources, config)),
        Err(mistakes) => Err(told(args.config.as_deref(), &mistakes)),
    }
}

/// File, environment and flags as they are now.
///
/// # Errors
/// When there is a file and it can't be read.
pub(crate) fn read_sources(args: &ServeArgs) -> Result<Sources, String> {
    let file = match &args.config {
        None => String::new(),
        Some(path) => {
            file_rights::check_trusted(path)?;
            std::fs::read_to_string(path).map_err(|error| {
                let path = path.display();
                format!("{path}: {error}; name the configuration file with --config")
            })?
        }
    };
    let sandbox = args.sandbox.then(|| "true".to_owned());
    let flags = [
        ("server.data", &args.data),
        ("server.listen", &args.listen),
        ("server.admin_listen", &args.admin),
        ("upstream.sandbox", &sandbox),
    ];
    Ok(Sources {
        file,
        environment: environment(),
        flags: flags
            .into_iter()
            .filter_map(|(key, value)| value.clone().map(|value| (key, value)))
            .collect(),
    })
}

fn told(file: Option<&Path>, mistakes: &[Mistake]) -> Failure {
    let name = file.map_or("configuration".into(), |path| path.display().to_string());
    let lines: Vec<_> = mistakes
        .iter()
        .map(|mistake| format!("{name}: {mistake}"))
        .collect();
    Failure::Usage(lines.join("\n"))
}

/// The environment as text; what is no text can't be one of our settings.
fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
