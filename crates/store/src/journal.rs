//! The journal: a row for every request, and for every change of an access, in the order of time.
//!
//! [`Journal`] takes rows from requests without making them wait, and one task writes them in groups. Reading
//! (`query.rs`), clearing and erasing (`retention.rs`) are the store's.

mod address;
mod class;
mod counted;
mod health;
mod pen;
mod query;
mod queue;
mod retention;
mod row;
mod sql;
mod surplus;
mod tally;
mod writer;

pub use class::Class;
pub use counted::{COUNTED_KEYS_MAX, CountKey, Counted, LISTED_REFUSALS_MAX, Noted};
pub use query::{JournalFilter, JournalOrder, JournalStatus, LimitCall, ReplayCall};
pub use retention::Retention;
pub use row::{Calls, JournalKind, JournalPayload, JournalRow};
pub use tally::Tally;
pub use writer::{Intent, Journal, Opened};

pub(crate) use pen::{Pen, open as open_connection};
pub(crate) use retention::tell;
pub(crate) use sql::{hashed as destination_hash, note_change};

/// Bits of an id below the milliseconds: a million rows fit into each of them, more than any disk takes.
const SEQUENCE_BITS: u32 = 20;

/// The first id that a row of this moment can have.
fn first_id_at(ms: i64) -> i64 {
    // Times beyond the year 200,000 are nobody's.
    ms.clamp(0, i64::MAX >> SEQUENCE_BITS) << SEQUENCE_BITS
}

#[cfg(test)]
mod tests;
