//! Arguments of `chatgate webhook`.

use clap::{Args, Subcommand};

use super::connect::{ChangeArgs, RequestArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum WebhookCommand {
    /// Send the events of an access to a receiver from now on, and show the secret that signs them this once
    Create(WebhookCreateArgs),
    /// List all webhooks
    List(RequestArgs),
    /// Show one webhook
    Show(WebhookArgs),
    /// Change the given fields and no others
    Set(WebhookSetArgs),
    /// Send a test at once and show what came of it
    Test(WebhookChangeArgs),
    /// Make a new secret and show it this once; the one before it signs beside it for a while
    Rotate(WebhookRotateArgs),
    /// End all secrets but the newest at once
    Retire(WebhookChangeArgs),
    /// Stop a webhook; its events wait in the log
    Pause(WebhookChangeArgs),
    /// Go on where a webhook stopped
    Resume(WebhookResumeArgs),
    /// Show what is left to send, what was given up, and the latest attempts
    Log(WebhookArgs),
    /// Send events once more, under the ids that they had
    Redeliver(WebhookRedeliverArgs),
    /// Delete a webhook and what is left to send
    Delete(WebhookChangeArgs),
}

#[derive(Args, Debug)]
pub(crate) struct WebhookArgs {
    /// The id of the webhook
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) request: RequestArgs,
}

#[derive(Args, Debug)]
pub(crate) struct WebhookChangeArgs {
    /// The id of the webhook
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct WebhookCreateArgs {
    /// The access whose events are sent
    pub(crate) access: String,
    /// Where they go: https, port 443 or 8443
    pub(crate) url: String,
    #[command(flatten)]
    pub(crate) fields: WebhookFieldArgs,
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct WebhookSetArgs {
    /// The id of the webhook
    pub(crate) id: String,
    /// Where events go
    #[arg(long)]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) fields: WebhookFieldArgs,
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct WebhookFieldArgs {
    /// The types of events that it gets [default: message.received, chat.changed]
    #[arg(long, value_delimiter = ',')]
    pub(crate) types: Option<Vec<String>>,
    /// Whether the texts of messages are sent along: full or thin [default: full]
    #[arg(long, value_name = "WORD")]
    pub(crate) payload: Option<String>,
    /// What it is for
    #[arg(long)]
    pub(crate) note: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct WebhookRotateArgs {
    /// For how many seconds the previous secret also signs, at most a week [default: a day]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) grace: Option<u32>,
    #[command(flatten)]
    pub(crate) one: WebhookChangeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct WebhookResumeArgs {
    /// Leave out what has happened meanwhile
    #[arg(long)]
    pub(crate) skip: bool,
    #[command(flatten)]
    pub(crate) one: WebhookChangeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct WebhookRedeliverArgs {
    #[command(flatten)]
    pub(crate) which: WhichEventsArgs,
    #[command(flatten)]
    pub(crate) one: WebhookChangeArgs,
}

/// Which events are sent once more: one of these.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct WhichEventsArgs {
    /// The event with this id
    #[arg(long, value_name = "ID")]
    pub(crate) event: Option<String>,
    /// All that were given up
    #[arg(long)]
    pub(crate) dead: bool,
    /// All since this time, as far as they are kept: 2026-01-31T12:00:00Z, 2026-01-31, or how long ago: 90s, 1h30m, 2d
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
}
