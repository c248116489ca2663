//! Tests of events for callers: by `getevents` over every way in, and as streams; with unmodified third-party clients, while rights
//! are withdrawn, and with many streams.

mod asking;
mod busy;
mod clients;
mod cost;
mod ends;
mod leaving;
mod permissions;
mod proxies;
pub(crate) mod reading;
mod resuming;
mod revoked;
