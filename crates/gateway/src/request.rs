//! The life of a request, from its head to its answer, its log line and its journal row.
//!
//! Read `pipeline` first: admit → decode → authorize → forward → encode, on one page.

pub(crate) mod context;
mod detached;
pub(crate) mod idempotency;
pub(crate) mod pipeline;
mod progress;
pub(crate) mod record;
pub(crate) mod reply;
mod request_id;
pub(crate) mod token_endpoint;
pub(crate) mod validate;
