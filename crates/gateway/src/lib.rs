//! The join: configuration, routes, the life of a request, listeners, telemetry and the command line of Chatgate.
//!
//! To follow a request: `routes` → `pipeline` → one adapter's `lib` → `forward`'s `lib`.

pub mod cli;
mod commands;
mod openapi;
mod outside;
mod pipeline;
mod policies;
mod routes;
mod token_endpoint;

pub mod client_addr;
mod docs;
mod edge;
mod explain;
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod generations;
mod known_tokens;
mod reload;
mod reply;
mod sending;
mod signing_keys;
mod story;
mod tokens;
mod unstoppable;

mod accesses;
pub mod config;
mod data_folder;
mod file_rights;
mod greeting;
mod serve;
mod telemetry;
mod visible;
mod way_out;
