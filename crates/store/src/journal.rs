//! The journal: a row for every request, and for every change of an access, in the order of time.
//!
//! [`Journal`] takes rows from requests without making them wait, and the store's writer writes them in batches
//! (`writer.rs`, `batch.rs`). Reading (`query.rs`), clearing (`retention.rs`, `surplus.rs`) and counting (`tally.rs`) are verbs
//! of the store.

mod address;
mod batch;
mod class;
mod counted;
mod entry;
mod filter;
mod health;
mod intake;
mod intent;
mod minute;
mod page;
mod query;
mod queue;
mod retention;
mod row;
mod sql;
mod start;
mod surplus;
mod tally;
mod values;
mod writer;

pub use class::CallerClass;
pub use counted::{CountKey, CountedCalls, Noted};
pub use filter::{JournalFilter, JournalStatus};
pub use intake::{Journal, Opened};
pub use intent::Intent;
pub use minute::{COUNTED_KEYS_MAX, LISTED_REFUSALS_MAX};
pub use page::JournalOrder;
pub use query::{LimitCall, ReplayCall};
pub use retention::Retention;
pub use row::{Calls, JournalKind, JournalPayload, JournalRow};
pub use tally::Tally;

pub(crate) use sql::{destination_hash, note_change, note_event};
pub(crate) use writer::JournalWriter;

#[cfg(test)]
mod tests;
