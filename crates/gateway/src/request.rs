//! Handles a request, from its head to its answer, its log line and its journal row.
//!
//! Read `pipeline` first: admit → decode → authorize → forward → encode, on one page.

pub(crate) mod context;
mod cross_site;
mod detached;
mod event_caller;
pub(crate) mod event_stream;
pub(crate) mod idempotency;
pub(crate) mod pipeline;
mod progress;
mod proof;
pub(crate) mod record;
pub(crate) mod reply;
mod request_id;
pub(crate) mod token_endpoint;
mod trace;
pub(crate) mod validate;
mod watch;
