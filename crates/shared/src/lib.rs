//! Counts that replicas share, in Valkey or Redis 7: they may be lost at any time, and nothing that lasts depends on them.
//!
//! [`SharedCounts`] is either up, and then a question is one script on one key, by the server's clock, or it is away, and then
//! nobody waits for it: a question returns at once, and a task beside the calls looks for the server until it is back.

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
