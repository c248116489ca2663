//! The journal: a row for every request and for every change of an access, in the order of time.
//!
//! [`Journal`] takes rows from requests without making them wait, and the engine's writer writes the rows in batches. The store has
//! methods for reading (`query.rs`), clearing (`retention.rs`) and counting (`tally.rs`).

mod access_calls;
pub(crate) mod class;
pub(crate) mod counted;
pub(crate) mod entry;
pub(crate) mod filter;
pub(crate) mod health;
mod intake;
mod intent;
pub(crate) mod minute;
pub(crate) mod outcome;
mod part_queue;
pub(crate) mod parts;
pub(crate) mod query;
pub(crate) mod queue;
pub(crate) mod queued;
mod retention;
pub(crate) mod row;
mod start;
pub(crate) mod surplus;
mod tally;

pub use access_calls::AccessCalls;
pub use class::CallerClass;
pub use counted::{CountKey, CountResult, CountedCalls};
pub use filter::{FoundRows, JournalFilter, JournalOrder, JournalStatus};
pub use intake::{Journal, OpenResult};
pub use intent::Intent;
pub use minute::{COUNTED_KEYS_MAX, LISTED_REFUSALS_MAX};
pub use query::{LimitCall, ReplayCall};
pub use retention::Retention;
pub use row::{Calls, JournalKind, JournalPayload, JournalRow};
pub use tally::Tally;

#[cfg(test)]
pub(crate) mod tests;
