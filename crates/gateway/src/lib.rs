//! The join: configuration, routes, and the life of a request.
//!
//! To follow a request: `router` → `request::pipeline` → one adapter's `lib` → `forward/src/forwarder.rs`. The modules stand here in
//! floors from top to bottom; none imports from a higher floor than its own.

mod serve;

mod router;

mod request;

mod state;

mod tokens;

pub mod config;

pub mod client_addr;
mod paths;

#[doc(hidden)]
pub mod fuzzing;

pub use serve::admin_key::reset_admin_key;
pub use serve::bootstrap::DemoCredentials;
pub use serve::shared::{CopyCount, NO_SHARED_STORE, copy_store, inspect, migrate, reseal};
pub use serve::{data_folder, serve};
pub use store::EVERYBODY;
