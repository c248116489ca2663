//! Arguments for the connection to the admin listener of a running gateway.

use std::path::PathBuf;

use clap::Args;
use url::Url;

/// The default address of the admin listener.
const ADMIN_ADDRESS: &str = "127.0.0.1:8081";

/// The admin listener, without a key.
#[derive(Args, Debug)]
pub(crate) struct ReachArgs {
    /// The address of the admin listener of the running gateway; https://ADDR if it uses TLS
    #[arg(long, value_name = "ADDR", env = "CHATGATE_ADMIN", default_value = ADMIN_ADDRESS, value_parser = admin_url)]
    pub(crate) admin: Url,
    /// A PEM file with a certificate to trust instead of the public authorities; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Vec<PathBuf>,
    /// A PEM file with the client certificate and its key, if the admin listener requires one
    #[arg(long, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,
}

/// The admin listener and its key.
#[derive(Args, Debug)]
pub(crate) struct AdminArgs {
    #[command(flatten)]
    pub(crate) reach: ReachArgs,
    /// The data folder of the running gateway
    #[arg(
        long,
        value_name = "DIR",
        env = "CHATGATE_DATA",
        default_value = "./data"
    )]
    pub(crate) data: PathBuf,
    /// The file with the admin key [default: admin.key in the data folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_key_file: Option<PathBuf>,
}

/// A request to the admin listener, and the form of its answer.
#[derive(Args, Debug)]
pub(crate) struct RequestArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// A request that changes something.
#[derive(Args, Debug)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    pub(crate) request: RequestArgs,
    /// Wait until every replica has applied the change or its lease has expired
    #[arg(long)]
    pub(crate) wait_all: bool,
}

/// Parses `ADDR`, or a URL without a path.
fn admin_url(text: &str) -> Result<Url, String> {
    let url = if text.contains("://") {
        Url::parse(text)
    } else {
        Url::parse(&format!("http://{text}"))
    };
    url.ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.path() == "/")
        .ok_or_else(|| "write ADDRESS:PORT, or https://ADDRESS:PORT".to_owned())
}
