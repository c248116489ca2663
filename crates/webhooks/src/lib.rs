//! Webhooks send the events of an access to a receiver that an operator names, signed according to Standard Webhooks.
//!
//! The pure parts are `signature`, `destination` (where deliveries may go) and `schedule` (when each delivery is attempted).
//! [`Webhooks`] contains the operations for operators. [`deliver`] is the task that sends: `attempt` makes one attempt, `deliverer`
//! reads the log and settles outcomes.

mod attempt;
mod config;
mod deliverer;
mod destination;
mod draft;
mod manage;
mod names;
mod outcome;
mod pause_resume;
mod pauses;
mod redeliver;
mod schedule;
mod sender;
mod served;
mod signature;
mod state;
mod state_transition;
mod stats;
mod webhook_target;

pub use config::{Clock, PreparedSender, WebhookEnvironment, WebhooksConfig};
pub use deliverer::deliver;
pub use destination::DestinationRules;
pub use draft::{DEFAULT_TYPES, WebhookDraft, WebhookError};
pub use manage::{GRACE_S, GRACE_S_MAX, Webhooks};
pub use pause_resume::PAUSED;
pub use redeliver::RedeliveryRequest;
pub use sender::SIGNATURE;
pub use stats::WebhookStats;
pub use webhook_target::WebhookTarget;
