//! What must last: accesses and keys, in one SQLite file of the data folder.
//!
//! Requests never wait for the disk: they read a snapshot of all accesses in memory, and a change is on disk before the
//! snapshot that shows it is swapped in.

mod access;
mod accesses;
mod backup;
mod database;
mod keys;
mod secret;

pub use access::{Access, Channel, Rate};
pub use accesses::Accesses;
pub use database::{Store, StoreError};
pub use keys::StoredKey;
pub use secret::{
    RANDOM_SECRET_PREFIX, SecretError, SecretHasher, StoredSecret, new_client_id,
    new_random_secret, unknown_name_hash, verify_chosen,
};
