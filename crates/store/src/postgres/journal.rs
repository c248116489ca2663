//! Sends and the journal in PostgreSQL. Three lanes write, each over its own connection (`lane.rs`): sends that begin (`opens.rs`),
//! sends that end (`closes.rs`), and all other rows (`rows.rs`). `sweep.rs` closes sends without an outcome. The other files read
//! (`query.rs`, `page.rs`, `access_calls.rs`) and clear (`retention.rs`, `surplus.rs`).

mod access_calls;
mod closes;
mod columns;
mod failover;
mod lane;
mod lanes;
mod open_lists;
mod open_row;
mod opens;
mod page;
mod partitions;
mod query;
mod refused;
mod retention;
mod rows;
mod send_tracker;
mod shared;
mod start;
mod surplus;
mod sweep;
mod tallies;

pub(super) use lanes::Lanes;
pub(super) use partitions::{day_of, partition};

#[cfg(test)]
mod tests;
