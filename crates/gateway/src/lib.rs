//! Joins the other crates: configuration, routes, and the life of a request.
//!
//! To follow a request: `router` → `request::pipeline` → one adapter's `lib` → `forward/src/forwarder.rs`. The modules below are
//! layers, listed from top to bottom; no module imports from a higher layer.

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
