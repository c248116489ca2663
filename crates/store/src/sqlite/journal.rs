//! The journal's rows in SQLite. The store's writer thread writes them (`writer.rs`, `batch.rs`); the other files read
//! (`query.rs`), clear (`retention.rs`, `surplus.rs`) and count them (`tally.rs`, `access_calls.rs`).

mod access_calls;
mod address;
mod batch;
mod page;
mod query;
mod retention;
mod sql;
mod start;
mod surplus;
mod tally;
mod values;
mod writer;

pub(super) use address::from_bytes as address_from_bytes;
pub(super) use sql::{note_change, note_event};
pub(super) use writer::JournalWriter;

#[cfg(test)]
mod tests;
