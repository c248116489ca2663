//! A store in one SQLite file in the data folder. One thread writes it (`writer.rs`), and a few connections read it (`readers.rs`).

mod admin_keys;
mod backup;
mod change;
mod connection;
mod copy;
mod daily;
mod erasure;
mod error;
mod events;
mod files;
mod first_start;
mod journal;
mod keys;
mod last_uses;
mod migrations;
mod readers;
mod receipts;
mod snapshot;
mod store;
mod store_file;
mod webhooks;
mod writer;

#[cfg(test)]
pub(crate) use connection::WriteConnection;
pub(crate) use store::SqliteStore;
