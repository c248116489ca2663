//! The join: configuration, routes, the life of a request, listeners, telemetry and the command line of Chatgate.
//!
//! To follow a request: `routes` → `pipeline` → one adapter's `lib` → `forward`'s `lib`.

pub mod cli;
mod commands;
mod openapi;
mod outside;
mod pipeline;
mod routes;
mod token_endpoint;

mod caller;
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

mod activity;
mod connection;
mod descriptors;
mod http2;
mod inbound;
mod listener;
mod places;
mod proxy_protocol;
mod tls;
mod watched;
mod workers;

mod accesses;
pub mod config;
mod data_folder;
mod file_rights;
mod greeting;
mod serve;
mod shutdown;
mod telemetry;
mod visible;
mod way_out;
