//! Webhooks send the events of an access to a receiver that an operator names, signed according to Standard Webhooks.
//!
//! The pure parts are `signature`, `destination` (where deliveries may go) and `schedule` (when each delivery is attempted).
//! [`Webhooks`] contains the operations for operators. [`deliver`] is the task that sends: `attempt` makes one attempt, `deliverer`
//! reads the log and settles outcomes.

mod again;
mod attempt;
mod config;
mod deliverer;
mod destination;
mod draft;
mod figures;
mod manage;
mod names;
mod on_and_off;
mod outcome;
mod pauses;
mod schedule;
mod sender;
mod served;
mod signature;
mod state;
mod state_turn;

pub use again::Again;
pub use config::{Clock, PreparedSender, Surroundings, WebhooksConfig};
pub use deliverer::deliver;
pub use destination::DestinationRules;
pub use draft::{DEFAULT_TYPES, WebhookDraft, WebhookError};
pub use figures::WebhookFigures;
pub use manage::{GRACE_S, GRACE_S_MAX, Webhooks};
pub use on_and_off::PAUSED;
pub use sender::SIGNATURE;
