//! Arguments of the commands that start something, and of `chatgate check`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// The default address of a sandbox that runs alone: beside the gateway's two.
const SANDBOX_ADDRESS: &str = "127.0.0.1:8082";

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ServeArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The data folder [default: ./data]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<String>,
    /// The address of the public listener [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<String>,
    /// The address of the admin listener [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDR")]
    pub(crate) admin: Option<String>,
    /// Let the embedded sandbox answer callers beyond loopback too while no upstream is configured
    #[arg(long)]
    pub(crate) sandbox: bool,
}

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    /// Connect to the database of a shared store as well, and check what a start needs of it
    #[arg(long)]
    pub(crate) online: bool,
    /// Print the errors as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct SharedStoreArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Copy the store of a data folder, on which no gateway runs, into the empty database of a configuration
    Copy(StoreCopyArgs),
}

#[derive(Args, Debug)]
pub(crate) struct StoreCopyArgs {
    /// The data folder to copy from
    #[arg(long, value_name = "DIR", default_value = "./data")]
    pub(crate) from: PathBuf,
    /// The configuration file of the gateways that will share the store
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Copy the journal too
    #[arg(long)]
    pub(crate) journal: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Debug)]
pub(crate) struct SandboxArgs {
    /// The address to listen on
    #[arg(long, value_name = "ADDR", default_value = SANDBOX_ADDRESS)]
    pub(crate) listen: SocketAddr,
    /// The folder that keeps the chats, and a generated account in sandbox.json; without it both stay in memory
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The account's user name; generated when absent, and shown on a terminal or kept in the data folder
    #[arg(long, requires = "password")]
    pub(crate) user: Option<String>,
    /// The account's password
    #[arg(long, requires = "user")]
    pub(crate) password: Option<String>,
    /// A JSON list of faults to begin with
    #[arg(long, value_name = "FILE")]
    pub(crate) faults: Option<PathBuf>,
    /// Serve the pages of the web chat beyond loopback too; they ask for no credentials
    #[arg(long)]
    pub(crate) pages: bool,
    /// Serve the control paths (/sandbox/…) beyond loopback too; they ask for no credentials
    #[arg(long)]
    pub(crate) control: bool,
}
