//! Arguments of `chatgate webhook`.

use clap::{Args, Subcommand};

use super::connect::{ChangeArgs, RequestArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum WebhookCommand {
    /// Send the events of an access to a receiver from now on, and show the signing secret, which is shown only once
    Create(WebhookCreateArgs),
    /// List all webhooks
    List(RequestArgs),
    /// Show one webhook
    Show(WebhookArgs),
    /// Change only the given fields
    Set(WebhookSetArgs),
    /// Send a test event now and show the outcome
    Test(WebhookChangeArgs),
    /// Generate a new secret and show it, which happens only once; the previous secret also signs for a while
    Rotate(WebhookRotateArgs),
    /// End all secrets except the newest immediately
    Retire(WebhookChangeArgs),
    /// Pause a webhook; its events wait in the log
    Pause(WebhookChangeArgs),
    /// Resume a webhook from where it stopped
    Resume(WebhookResumeArgs),
    /// Show the pending and the abandoned deliveries, and the latest attempts
    Log(WebhookArgs),
    /// Send events again, under their original ids
    Redeliver(WebhookRedeliverArgs),
    /// Delete a webhook and its pending deliveries
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
    /// The URL of the receiver: https, port 443 or 8443
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
    /// The URL of the receiver
    #[arg(long)]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) fields: WebhookFieldArgs,
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct WebhookFieldArgs {
    /// The types of events to send [default: message.received, chat.changed]
    #[arg(long, value_delimiter = ',')]
    pub(crate) types: Option<Vec<String>>,
    /// The content of the events, with the texts of messages or without: full or thin [default: full]
    #[arg(long, value_name = "WORD")]
    pub(crate) payload: Option<String>,
    /// The purpose of the webhook
    #[arg(long)]
    pub(crate) note: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct WebhookRotateArgs {
    /// How many seconds the previous secret also signs, at most a week [default: a day]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) grace: Option<u32>,
    #[command(flatten)]
    pub(crate) one: WebhookChangeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct WebhookResumeArgs {
    /// Skip the events that occurred in the meantime
    #[arg(long)]
    pub(crate) skip: bool,
    #[command(flatten)]
    pub(crate) one: WebhookChangeArgs,
}

#[derive(Args, Debug)]
pub(crate) struct WebhookRedeliverArgs {
    #[command(flatten)]
    pub(crate) which: EventSelectionArgs,
    #[command(flatten)]
    pub(crate) one: WebhookChangeArgs,
}

/// The selection of events to send again; exactly one of these.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(crate) struct EventSelectionArgs {
    /// The event with this id
    #[arg(long, value_name = "ID")]
    pub(crate) event: Option<String>,
    /// All abandoned events
    #[arg(long)]
    pub(crate) dead: bool,
    /// All events since this time that are still stored: 2026-01-31T12:00:00Z, 2026-01-31, or how long ago: 90s, 1h30m, 2d
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
}
