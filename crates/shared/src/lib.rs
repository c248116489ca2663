//! Counts that replicas share in Valkey or Redis 7. They may be lost at any time, and no permanent data depends on them.
//!
//! [`SharedCounts`] is either up or away. While it is up, each request is one script on one key and uses the server's clock. While
//! it is away, no call waits for the server: requests fail immediately, and a background task reconnects.

mod connection;
mod connector;
mod counts;
mod failures;
mod inspect;
mod invalidation;
mod keeper;
mod keys;
mod limit;
mod options;
#[doc(hidden)]
pub mod oracle;
mod refunds;
mod scripts;
mod state;
#[cfg(test)]
mod test_server;
mod url;
mod wait;

pub use counts::{SharedCounts, SharedStatus};
pub use inspect::{CountsFinding, inspect_counts};
pub use invalidation::Invalidation;
pub use keys::{CountKeys, CountKind, ValkeyKey};
pub use limit::{CountLimit, CountPeek, TakeRequest, TakenCells};
pub use options::ValkeyOptions;
pub use state::CountsUnavailable;
pub use url::ValkeyUrl;
pub use wait::CallWait;
