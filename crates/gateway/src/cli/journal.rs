//! What `chatgate log`, `replay` and `journal` can be asked for.

use clap::{Args, Subcommand};

use super::AdminArgs;

#[derive(Args, Debug)]
pub(crate) struct LogArgs {
    /// Calls and changes of this access alone
    #[arg(long, value_name = "ACCESS")]
    pub(crate) access: Option<String>,
    /// Calls of this method
    #[arg(long, value_name = "METHOD")]
    pub(crate) method: Option<String>,
    /// Calls that ended with this HTTP status, with a code such as IP_NOT_ALLOWED, or with SUCCESS
    #[arg(long, value_name = "STATUS")]
    pub(crate) status: Option<String>,
    /// From this time on: 2026-01-31T12:00:00Z, 2026-01-31, "2026-01-31 12:00" (UTC), or how long ago: 90s, 1h30m, 7d, 1w
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Before this time, written as for --since
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Calls from this network or address, as resolved
    #[arg(long, value_name = "CIDR")]
    pub(crate) ip: Option<String>,
    /// The call with this request id, or the calls for which their callers chose it
    #[arg(long, value_name = "ID")]
    pub(crate) request_id: Option<String>,
    /// Sends with this word on delivery: sent, not_sent or unknown
    #[arg(long, value_name = "WORD")]
    pub(crate) delivery: Option<String>,
    /// The latest so many
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// Go on with what is new until interrupted
    #[arg(long)]
    pub(crate) follow: bool,
    /// Print one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    /// The access whose calls are judged
    #[arg(long, value_name = "ACCESS")]
    pub(crate) access: String,
    /// A network that it could call from, or any; may be repeated [default: as it is]
    #[arg(long, value_name = "CIDR", num_args = 1..)]
    pub(crate) allow: Option<Vec<String>>,
    /// A network that it could not call from; may be repeated [default: as it is]
    #[arg(long, value_name = "CIDR", num_args = 1..)]
    pub(crate) deny: Option<Vec<String>>,
    /// Calls from this time on: 2026-01-31T12:00:00Z, 2026-01-31, "2026-01-31 12:00" (UTC), or how long ago: 90s, 1h30m, 7d, 1w
    #[arg(long, value_name = "TIME")]
    pub(crate) since: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum JournalCommand {
    /// Take away what the journal keeps of one destination: parameters, answers, and answers in which it stands
    Erase(EraseArgs),
}

#[derive(Args, Debug)]
pub(crate) struct EraseArgs {
    /// The destination, as calls name it
    pub(crate) destination: String,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) admin: AdminArgs,
}
