//! Opens new databases for tests over PostgreSQL.

#[path = "../../../../tests/harness/postgres.rs"]
mod server;

use std::time::Duration;

use secrecy::SecretString;

use super::options::{PostgresOptions, PostgresUrl, ReplicaOptions};
use super::seal::{SEAL_BYTES, SealKeys};

pub(crate) use server::SERVER;

/// Returns the options for a new database, or `None` where PostgreSQL is missing.
pub(crate) fn new_database() -> Option<PostgresOptions> {
    let url = SERVER.as_ref()?.new_database();
    let url = PostgresUrl::parse(&SecretString::from(url)).unwrap();
    Some(PostgresOptions {
        direct_url: url.clone(),
        url,
        connections: 4,
        seal: SealKeys::new(&[vec![7; SEAL_BYTES]]).unwrap(),
        is_replicated: false,
        migrates: true,
        replica: ReplicaOptions {
            name: "test".to_owned(),
            version: "0".to_owned(),
            config: Vec::new(),
            lease: Duration::from_secs(10),
            ack_wait: Duration::from_secs(2),
        },
    })
}
