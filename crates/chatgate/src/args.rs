//! The command line: commands and their arguments.

pub(crate) mod access;
pub(crate) mod connect;
pub(crate) mod explain;
pub(crate) mod journal;
pub(crate) mod sample;
pub(crate) mod serve;
pub(crate) mod webhook;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use access::AccessCommand;
use connect::{AdminArgs, ChangeArgs, ReachArgs, RequestArgs};
use explain::ExplainArgs;
use journal::{JournalCommand, LogArgs, ReplayArgs};
use sample::SampleArgs;
use serve::{CheckArgs, SandboxArgs, ServeArgs, SharedStoreArgs, StoreCommand};
use webhook::WebhookCommand;

/// The manual's paragraph about signals.
const SIGNALS: &str = "Signals of a running gateway: SIGTERM and SIGINT stop it after the requests under way have ended. SIGHUP \
                       reloads configuration and certificates. SIGUSR1 and SIGUSR2 write a line to the log. SIGPIPE, SIGALRM, \
                       SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGSTKFLT, SIGXFSZ and the real-time signals do nothing. SIGQUIT and \
                       SIGKILL stop it immediately.";

/// A hardened gateway to a chat API: HTTP parameters, Basic, JWT and SOAP in front, one upstream account behind.
#[derive(Debug, Parser)]
// Flags before a command would be parsed and then ignored, so clap rejects them.
#[command(name = "chatgate", version = telemetry::full_version(), args_conflicts_with_subcommands = true, after_long_help = SIGNALS)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the gateway (also without a command)
    Serve(ServeArgs),
    /// Start the embedded upstream alone
    Sandbox(SandboxArgs),
    /// Get a token from a running gateway and print nothing else
    Token(TokenArgs),
    /// Validate the configuration and report all errors
    Check(CheckArgs),
    /// Manage the accesses of a running gateway
    #[command(subcommand)]
    Access(Box<AccessCommand>),
    /// Manage the webhooks of a running gateway, which deliver the events of its accesses
    #[command(subcommand)]
    Webhook(Box<WebhookCommand>),
    /// Show the outcome that a call would have, and the reason, without making the call
    Explain(Box<ExplainArgs>),
    /// Print a program that makes one call, in a language of your choice
    Sample(Box<SampleArgs>),
    /// Search the journal: the callers, their calls, their addresses and the outcomes
    Log(Box<LogArgs>),
    /// Show the journalled calls that a proposed list of networks would have refused or admitted
    Replay(ReplayArgs),
    /// Erase a destination from the journal, receipts, past changes and events
    #[command(subcommand)]
    Journal(JournalCommand),
    /// List and rotate the keys that sign tokens
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Generate a new key for the first operator while no gateway is running
    #[command(subcommand)]
    AdminKey(AdminKeyCommand),
    /// List the replicas that share the store of a running gateway
    Replicas(RequestArgs),
    /// Bring the tables of a shared store up to date
    Migrate(SharedStoreArgs),
    /// Move from a data folder to a shared store
    #[command(subcommand)]
    Store(StoreCommand),
    /// Make a running gateway read its configuration again
    Reload(RequestArgs),
    /// Show the outcome of the sends with one idempotency key
    Receipt(ReceiptArgs),
    /// Copy the store of a running gateway into a file
    Backup(BackupArgs),
    /// Exit with 0 if a running gateway accepts calls, otherwise with 1
    Healthcheck(ReachArgs),
    /// Print the JSON Schema of the configuration file
    ConfigSchema,
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page of this binary or of one of its commands
    Man {
        /// The command, for example keys rotate
        command: Vec<String>,
    },
    /// Verify one signed token with the gateway's own verifier
    JwsVerify(JwsArgs),
    /// Check one document with the gateway's own XML parser
    XmlCheck {
        /// The document
        file: PathBuf,
    },
}

#[derive(Args, Debug)]
pub(crate) struct TokenArgs {
    /// Limit the token to this method; may be repeated
    #[arg(long = "method", value_name = "METHOD")]
    pub(crate) methods: Vec<String>,
    /// The client id, whose secret is read from standard input [default: the demo access]
    #[arg(long, value_name = "ID")]
    pub(crate) client_id: Option<String>,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// List the keys, newest first
    List(RequestArgs),
    /// Sign with a new key from now on; tokens that older keys signed remain valid until they expire
    Rotate(KeysRotateArgs),
    /// Seal the keys of a shared store with the first key of store.seal; the keys after it only open older seals
    Reseal(SharedStoreArgs),
}

#[derive(Args, Debug)]
pub(crate) struct KeysRotateArgs {
    /// Revoke all tokens that were signed before, for example after a key leak
    #[arg(long)]
    pub(crate) revoke: bool,
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AdminKeyCommand {
    /// Generate a new key and write it to admin.key in the data folder; the previous key stops working (only for a store in a file)
    Reset(AdminKeyArgs),
}

#[derive(Args, Debug)]
pub(crate) struct AdminKeyArgs {
    /// The data folder of the gateway
    #[arg(
        long,
        value_name = "DIR",
        env = "CHATGATE_DATA",
        default_value = "./data"
    )]
    pub(crate) data: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct ReceiptArgs {
    /// The name of the access
    pub(crate) access: String,
    /// The idempotency key of the sends
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
}

#[derive(Args, Debug)]
pub(crate) struct BackupArgs {
    /// The file to write; an existing file is never overwritten
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Args, Debug)]
pub(crate) struct JwsArgs {
    /// The file with the public key as a JWK
    #[arg(long, value_name = "FILE")]
    pub(crate) jwk: PathBuf,
    /// The algorithm of the key
    #[arg(long, value_name = "ALG")]
    pub(crate) alg: String,
    /// The token
    pub(crate) token: String,
}
