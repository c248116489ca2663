//! Arguments of `chatgate log`, `replay` and `journal`.

use clap::{Args, Subcommand};

use super::connect::{AdminArgs, RequestArgs};

#[derive(Args, Debug)]
pub(crate) struct LogArgs {
    /// Show only calls and changes of this access
    #[arg(long, value_name = "ACCESS")]
    pub(crate) access: Option<String>,
    /// Show only calls of this method
    #[arg(long, value_name = "METHOD")]
    pub(crate) method: Option<String>,
    /// Show only calls with this outcome: an HTTP status, a code such as IP_NOT_ALLOWED, or SUCCESS
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<String>,
    /// Show only rows from this time on: 2026-01-31T12:00:00Z, 2026-01-31, "2026-01-31 12:00" (UTC), or how long ago: 90s, 1h30m,
    /// 7d, 1w
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Show only rows before this time, in the format of --since
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Show only calls from this network or address, as resolved
    #[arg(long, value_name = "CIDR")]
    pub(crate) ip: Option<String>,
    /// Show only the call with this request id, or the calls whose callers chose it
    #[arg(long, value_name = "ID")]
    pub(crate) request_id: Option<String>,
    /// Show only sends with this delivery: sent, not_sent or unknown
    #[arg(long, value_name = "WORD")]
    pub(crate) delivery: Option<String>,
    /// Show at most this many of the latest rows
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// Continue with new rows until interrupted
    #[arg(long)]
    pub(crate) follow: bool,
    /// Print one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    /// The access whose calls are checked
    #[arg(long, value_name = "ACCESS")]
    pub(crate) access: String,
    /// A network that would be allowed, or any; may be repeated [default: the current list]
    #[arg(long, value_name = "CIDR", num_args = 1..)]
    pub(crate) allow: Option<Vec<String>>,
    /// A network that would be denied; may be repeated [default: the current list]
    #[arg(long, value_name = "CIDR", num_args = 1..)]
    pub(crate) deny: Option<Vec<String>>,
    /// Check only calls from this time on: 2026-01-31T12:00:00Z, 2026-01-31, "2026-01-31 12:00" (UTC), or how long ago: 90s, 1h30m,
    /// 7d, 1w
    #[arg(long, value_name = "TIME")]
    pub(crate) since: String,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// Erase the stored data of one destination from the journal, receipts, past changes and events
    Erase(EraseArgs),
}

#[derive(Args, Debug)]
pub(crate) struct EraseArgs {
    /// The destination, as calls name it
    pub(crate) destination: String,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
}
