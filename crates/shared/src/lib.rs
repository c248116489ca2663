//! Counts that replicas share in Valkey or Redis 7. They may be lost at any time, and no permanent data depends on them.
//!
//! [`SharedCounts`] is either up or away. While it is up, each request is one script on one key and uses the server's clock. While
//! it is away, no call waits for the server: requests fail immediately, and a background task reconnects.

mod connection;
mod connector;
mod counts;
mod failures;
mod inspect;
mod keeper;
mod keys;
mod later;
mod limit;
mod options;
#[doc(hidden)]
pub mod oracle;
mod scripts;
mod state;
#[cfg(test)]
mod test_server;
mod url;
mod wait;
mod wake;

pub use counts::{SharedCounts, SharedStatus};
pub use inspect::{CountsFinding, inspect_counts};
pub use keys::{CountKeys, CountKind, ValkeyKey};
pub use limit::{CountLimit, CountLook, TakenCells, Wish};
pub use options::ValkeyOptions;
pub use state::Away;
pub use url::ValkeyUrl;
pub use wait::CallWait;
pub use wake::WakeUp;
