//! What `chatgate access` can be asked for.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::AdminArgs;

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    /// Make an access and show its secrets this once
    Create(CreateArgs),
    /// Change what is said of it here, and nothing else
    Set(SetArgs),
    /// List all accesses
    List(AllArgs),
    /// Show one access
    Show(OneArgs),
    /// Tell who changed it, when and how
    Changes(OneArgs),
    /// Give it a new secret beside the one in use, and show it this once
    Rotate(RotateArgs),
    /// End every token that was issued for it so far, here and by outside issuers
    RevokeTokens(OneArgs),
    /// Refuse it from the next request on
    Suspend(OneArgs),
    /// Let it in again
    Resume(OneArgs),
    /// Add networks that it may call from
    Allow(NetworkArgs),
    /// Add networks that it may not call from
    Deny(NetworkArgs),
    /// Take it away
    Delete(OneArgs),
    /// Print all accesses, hashes of their secrets included
    Export(AllArgs),
    /// Make the accesses of an export as they stand there, all or none
    Import(ImportArgs),
}

#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// Its name: letters, digits, . _ -
    pub(crate) name: String,
    /// The user name that it presents [default: its name]
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// Read a chosen password from standard input, in place of a random one
    #[arg(long, conflicts_with = "password_hash_stdin")]
    pub(crate) password_stdin: bool,
    /// Read the argon2id hash of a chosen password from standard input, as $argon2id$v=19$…
    #[arg(long)]
    pub(crate) password_hash_stdin: bool,
    /// A network that it may call from, or any; may be repeated
    #[arg(long, value_name = "CIDR")]
    pub(crate) allow: Vec<String>,
    /// A network that it may not call from; may be repeated
    #[arg(long, value_name = "CIDR")]
    pub(crate) deny: Vec<String>,
    #[command(flatten)]
    pub(crate) fields: FieldArgs,
    #[command(flatten)]
    pub(crate) all: AllArgs,
}

#[derive(Args, Debug)]
pub(crate) struct SetArgs {
    /// Its name
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) fields: FieldArgs,
    #[command(flatten)]
    pub(crate) all: AllArgs,
}

#[derive(Args, Debug)]
pub(crate) struct FieldArgs {
    /// The ways in that it may use [default: all]
    #[arg(long, value_delimiter = ',')]
    pub(crate) ways: Option<Vec<String>>,
    /// The methods that it may call [default: all]
    #[arg(long, value_delimiter = ',')]
    pub(crate) methods: Option<Vec<String>>,
    /// How often it may call, such as 60/min or 1000/day; may be repeated [default: as often as it likes]
    #[arg(long)]
    pub(crate) rate: Vec<String>,
    /// From when on it is refused, as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Option<String>,
    /// What is answered from memory: on, off, or how many seconds, as getchats=5,getchatchannels=300 [default: on]
    #[arg(long, value_delimiter = ',')]
    pub(crate) cache: Vec<String>,
    /// How much of its calls the journal keeps, metadata or full [default: metadata]
    #[arg(long, value_name = "LEVEL")]
    pub(crate) journal: Option<String>,
    /// Whose it is
    #[arg(long)]
    pub(crate) owner: Option<String>,
    /// What it is for
    #[arg(long)]
    pub(crate) note: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct AllArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Args, Debug)]
pub(crate) struct OneArgs {
    /// Its name
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) all: AllArgs,
}

#[derive(Args, Debug)]
pub(crate) struct RotateArgs {
    /// End the secrets in use at once
    #[arg(long)]
    pub(crate) drop_old: bool,
    #[command(flatten)]
    pub(crate) one: OneArgs,
}

#[derive(Args, Debug)]
pub(crate) struct NetworkArgs {
    /// Its name
    pub(crate) name: String,
    /// The networks
    #[arg(required = true, value_name = "CIDR")]
    pub(crate) networks: Vec<String>,
    /// Take them away instead
    #[arg(long)]
    pub(crate) remove: bool,
    #[command(flatten)]
    pub(crate) all: AllArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// The export
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) all: AllArgs,
}
