//! The end-to-end tests: one binary that starts the real gateway and speaks to it as its callers do.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod harness;

mod addresses;
mod configuration;
mod first_start;
mod life;
mod limits_and_cache;
mod matrix;
mod real_clients;
mod same_call;
mod secrets;
mod sends;
mod tidy;
mod tokens;
mod wire;
