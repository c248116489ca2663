//! The journal's rows in SQLite: written by the store's thread that writes (`writer.rs`, `batch.rs`), read (`query.rs`), cleared
//! (`retention.rs`, `surplus.rs`) and counted (`tally.rs`,
//! `access_calls.rs`).

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
