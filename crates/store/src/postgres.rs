//! A store in PostgreSQL that several replicas share. Each operation is a single statement or a short transaction. Data that
//! replicas hold in memory has an epoch, which is raised in the transaction of each change.

mod accesses;
mod admin_keys;
mod applied;
mod beat;
mod catch_up;
mod change;
mod connections;
mod connector;
mod copy;
mod daily;
mod departure;
mod epochs;
mod erasure;
mod error;
mod events;
mod first_start;
mod heartbeat;
mod ids;
mod inspect;
mod journal;
mod key_lookups;
mod keys;
mod last_uses;
mod lease;
mod migrations;
mod options;
mod pool;
mod primary;
mod propagation;
mod receipts;
mod replica;
mod reseal;
mod seal;
mod session;
mod sessions;
mod slow;
mod snapshot;
mod store;
mod table_version;
mod webhooks;
mod work_leases;

pub use inspect::{DatabaseFinding, inspect_postgres};
pub use migrations::migrate_postgres;
pub use options::{PostgresOptions, PostgresUrl, ReplicaOptions};
pub use reseal::reseal_postgres;
pub use seal::{SEAL_BYTES, SealKeys};

pub(crate) use copy::copy_into;
pub(crate) use heartbeat::start_heartbeat;
pub(crate) use store::PostgresStore;

#[cfg(test)]
pub(crate) mod test_server;
#[cfg(test)]
mod tests;
