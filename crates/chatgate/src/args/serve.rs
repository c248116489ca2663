//! Arguments of the commands that start a server, and of `chatgate check`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// The default address of a stand-alone sandbox. It differs from the two addresses of the gateway.
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
    /// Allow the embedded sandbox to answer callers beyond loopback too, as long as no upstream is configured
    #[arg(long)]
    pub(crate) sandbox: bool,
}

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
    /// Also connect to the database of a shared store, and check that a gateway could start with it
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
    /// Copy the store of a data folder without a running gateway into the empty database of a configuration
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
    /// The folder for the chats, and for a generated account in sandbox.json; without it both stay in memory
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// The user name of the account; generated if absent, and then shown on a terminal or stored in the data folder
    #[arg(long, requires = "password")]
    pub(crate) user: Option<String>,
    /// The password of the account
    #[arg(long, requires = "user")]
    pub(crate) password: Option<String>,
    /// A file with a JSON list of initial faults
    #[arg(long, value_name = "FILE")]
    pub(crate) faults: Option<PathBuf>,
    /// Serve the pages of the web chat beyond loopback too; they require no credentials
    #[arg(long)]
    pub(crate) pages: bool,
    /// Serve the control paths (/sandbox/…) beyond loopback too; they require no credentials
    #[arg(long)]
    pub(crate) control: bool,
}
