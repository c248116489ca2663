//! The commands, one file each, and the `match` that runs them.

mod access;
mod admin;
mod admin_key;
mod backup;
mod check;
mod error;
mod explain;
mod health;
mod input;
mod journal;
mod keys;
mod log;
mod log_row;
mod output;
mod pages;
mod progress;
mod receipt;
mod reload;
mod replay;
mod replicas;
mod sample;
mod sandbox;
mod serve;
mod shared_store;
mod terminal;
mod token;
mod verify;
mod webhook;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use crate::args::serve::StoreCommand;
use crate::args::{Cli, Command};
use error::CommandError;
use output::printed;
use terminal::print_error;

/// `EX_USAGE` of sysexits.h: usage or configuration is wrong.
const EXIT_USAGE: u8 = 64;

/// Runs the command of this process. Exit codes: 0 done, 1 failed, 64 wrong usage or configuration.
pub(crate) async fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            if error.use_stderr() {
                let _ = error.print();
                return ExitCode::from(EXIT_USAGE);
            }
            return match printed(error.print().and_then(|()| std::io::stdout().flush())) {
                Ok(_) => ExitCode::SUCCESS,
                Err(text) => {
                    print_error(&text);
                    ExitCode::FAILURE
                }
            };
        }
    };
    let (text, code) = match dispatch(cli).await {
        Ok(()) => return ExitCode::SUCCESS,
        Err(CommandError::Failed(text)) => (text, 1),
        Err(CommandError::Usage(text)) => (text, EXIT_USAGE),
    };
    print_error(&text);
    ExitCode::from(code)
}

/// Prints the reason of a failure.
pub(crate) fn failed(text: &str) -> ExitCode {
    print_error(text);
    ExitCode::FAILURE
}

async fn dispatch(cli: Cli) -> Result<(), CommandError> {
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(args) => serve::run(&args).await?,
        Command::Sandbox(args) => sandbox::run(args).await?,
        Command::Token(args) => token::run(args).await?,
        Command::Check(args) => check::run(&args).await?,
        Command::Access(command) => access::run(*command).await?,
        Command::Webhook(command) => webhook::run(*command).await?,
        Command::Explain(args) => explain::run(*args).await?,
        Command::Sample(args) => sample::run(*args).await?,
        Command::Log(args) => log::run(*args).await?,
        Command::Replay(args) => replay::run(args).await?,
        Command::Journal(command) => journal::run(command).await?,
        Command::Keys(command) => keys::run(command).await?,
        Command::AdminKey(command) => admin_key::run(command).await?,
        Command::Replicas(args) => replicas::run(args).await?,
        Command::Migrate(args) => shared_store::migrate(&args).await?,
        Command::Store(StoreCommand::Copy(args)) => shared_store::copy(&args).await?,
        Command::Reload(args) => reload::run(args).await?,
        Command::Receipt(args) => receipt::run(args).await?,
        Command::Backup(args) => backup::run(args).await?,
        Command::Healthcheck(reach) => health::run(&reach).await?,
        Command::ConfigSchema => pages::config_schema()?,
        Command::Completions { shell } => pages::completions(shell)?,
        Command::Man { command } => pages::man(&command)?,
        Command::JwsVerify(args) => verify::jws(&args)?,
        Command::XmlCheck { file } => verify::xml(&file)?,
    }
    Ok(())
}
