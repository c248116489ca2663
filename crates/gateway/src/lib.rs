//! The join: configuration, routes, the life of a request, telemetry and the command line of Chatgate.
//!
//! To follow a request: `router` → `request::pipeline` → one adapter's `lib` → `forward`'s `lib`. The modules stand here in
//! floors from top to bottom; none imports from a higher floor than its own.

pub mod cli;
mod commands;

mod serve;

mod router;

mod docs;

mod request;

mod state;

mod telemetry;
mod tokens;

pub mod config;

pub mod client_addr;
mod file_rights;
mod visible;

#[doc(hidden)]
pub mod fuzzing;
