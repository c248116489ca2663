//! Webhooks: the events of an access are sent to a receiver that an operator names, signed as Standard Webhooks has it.
//!
//! Pure parts: `signature`, `destination` (where deliveries may go) and `schedule` (when each is made). [`Webhooks`] is what operators
//! change, and [`deliver`] the task that sends: `attempt` makes one, `deliverer` reads the log and settles what came of it.

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
pub use state::state_of;
