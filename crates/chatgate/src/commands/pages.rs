//! Prints documents about the binary itself: shell completions, manual pages, the schema of its configuration.

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;
use gateway::config::Config;

use super::error::CommandError;
use super::output::{print_exactly, print_json};
use crate::args::Cli;

pub(crate) fn completions(shell: Shell) -> Result<(), String> {
    // The script is written to memory first, because the generator panics if its output fails.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "chatgate", &mut script);
    print_exactly(script)
}

/// Prints the manual page of the binary or of one of its commands.
pub(crate) fn man(path: &[String]) -> Result<(), CommandError> {
    let mut command = Cli::command();
    // Building gives each command its full name, which is the title of its page.
    command.build();
    let mut page = &command;
    for name in path {
        page = page.find_subcommand(name).ok_or_else(|| {
            let commands = command.get_subcommands().map(clap::Command::get_name);
            let commands: Vec<_> = commands.collect();
            CommandError::Usage(format!(
                "there is no command {}; there are {}",
                path.join(" "),
                commands.join(", ")
            ))
        })?;
    }
    let mut text = Vec::new();
    let source = format!("chatgate {}", telemetry::VERSION);
    let rendered = Man::new(page.clone()).source(source).render(&mut text);
    rendered.map_err(|error| CommandError::Failed(error.to_string()))?;
    Ok(print_exactly(text)?)
}

pub(crate) fn config_schema() -> Result<(), String> {
    print_json(&Config::schema())
}
