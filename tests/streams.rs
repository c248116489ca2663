//! Events as callers get them: by `getevents` in every way in, and as streams; with the unmodified clients of others, while
//! rights are taken away, and in numbers.

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
