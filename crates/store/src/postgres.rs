//! A store in PostgreSQL, which several replicas share. Each verb is a statement of its own or a short transaction; what replicas
//! keep in memory has an epoch, which is raised in the transaction of a change.

mod accesses;
mod admin_keys;
mod change;
mod connector;
mod daily;
mod departure;
mod erasure;
mod error;
mod first_start;
mod heartbeat;
mod ids;
mod journal;
mod keys;
mod last_uses;
mod lease;
mod migrations;
mod options;
mod pool;
mod primary;
mod receipts;
mod replica;
mod seal;
mod session;
mod sessions;
mod snapshot;
mod spread;
mod store;

pub use migrations::migrate_postgres;
pub use options::{PostgresOptions, PostgresUrl, ReplicaOptions};
pub use seal::{SEAL_BYTES, SealKeys};

pub(crate) use heartbeat::start_heartbeat;
pub(crate) use store::PostgresStore;

#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
mod tests;
