//! Arguments of `chatgate access`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::connect::{ChangeArgs, RequestArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    /// Create an access and show its secrets, which are shown only once
    Create(CreateArgs),
    /// Change only the given fields
    Set(SetArgs),
    /// List all accesses, or the accesses that match a search
    List(ListArgs),
    /// Show one access
    Show(AccessNameArgs),
    /// Show the changes of an access: who made them, when and how
    Changes(AccessNameArgs),
    /// Create a new secret in addition to the current one and show it, which happens only once
    Rotate(RotateArgs),
    /// Revoke all tokens issued for the access so far, by this gateway and by outside issuers
    RevokeTokens(AccessChangeArgs),
    /// Reject the access from the next request on
    Suspend(AccessChangeArgs),
    /// Accept a suspended access again
    Resume(AccessChangeArgs),
    /// Add networks from which the access may call
    Allow(NetworkArgs),
    /// Add networks from which the access may not call
    Deny(NetworkArgs),
    /// Delete the access
    Delete(AccessChangeArgs),
    /// Print all accesses with the hashes of their secrets; hashes of generated secrets are valid only in this store and its copies
    Export(RequestArgs),
    /// Store the accesses of an export unchanged, all or none; accesses with the same names are replaced
    Import(ImportArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    /// A part of the name, user, owner, note or client id; case does not matter
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
    /// List only the accesses after this name
    #[arg(long, value_name = "NAME")]
    pub(crate) after: Option<String>,
    /// Maximum number of listed accesses [default: all]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
}

#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// The name of the access: letters, digits, . _ -
    pub(crate) name: String,
    /// The user name that the callers present [default: the name of the access]
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// Read a chosen password from standard input instead of generating one
    #[arg(long, conflicts_with = "password_hash_stdin")]
    pub(crate) password_stdin: bool,
    /// Read the argon2id hash of a chosen password from standard input, as $argon2id$v=19$…
    #[arg(long)]
    pub(crate) password_hash_stdin: bool,
    /// A network from which the access may call, or any; may be repeated
    #[arg(long, value_name = "CIDR")]
    pub(crate) allow: Vec<String>,
    /// A network from which the access may not call; may be repeated
    #[arg(long, value_name = "CIDR")]
    pub(crate) deny: Vec<String>,
    #[command(flatten)]
    pub(crate) fields: FieldArgs,
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct SetArgs {
    /// The name of the access
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) fields: FieldArgs,
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct FieldArgs {
    /// The ways in that the access may use [default: all]
    #[arg(long, value_delimiter = ',')]
    pub(crate) ways: Option<Vec<String>>,
    /// The methods that the access may call [default: all]
    #[arg(long, value_delimiter = ',')]
    pub(crate) methods: Option<Vec<String>>,
    /// A rate limit, such as 60/min or 1000/day; may be repeated; none removes both limits [default: no limit]
    #[arg(long)]
    pub(crate) rate: Vec<String>,
    /// The time (UTC) at which the access expires: 2027-01-31, 2027-01-31T12:00:00Z, from now 90s, 12h, 30d, 1w, or never
    #[arg(long, value_name = "TIME")]
    pub(crate) expires: Option<String>,
    /// Answer reads from the cache: on, off, or the lifetimes in seconds, as getchats=5,getchatchannels=300 [default: on]
    #[arg(long, value_delimiter = ',')]
    pub(crate) cache: Vec<String>,
    /// The detail with which the journal stores calls: metadata or full [default: metadata]
    #[arg(long, value_name = "LEVEL")]
    pub(crate) journal: Option<String>,
    /// The owner of the access
    #[arg(long)]
    pub(crate) owner: Option<String>,
    /// The purpose of the access
    #[arg(long)]
    pub(crate) note: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct AccessNameArgs {
    /// The name of the access
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
}

#[derive(Args, Debug)]
pub(crate) struct AccessChangeArgs {
    /// The name of the access
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct RotateArgs {
    /// Revoke the current secrets immediately
    #[arg(long)]
    pub(crate) drop_old: bool,
    #[command(flatten)]
    pub(crate) one: AccessChangeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct NetworkArgs {
    #[command(flatten)]
    pub(crate) one: AccessChangeArgs,
    /// The networks
    #[arg(required = true, value_name = "CIDR")]
    pub(crate) networks: Vec<String>,
    /// Remove the networks instead of adding them
    #[arg(long)]
    pub(crate) remove: bool,
}

#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    /// The file with the export
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}
