//! The only crate that builds HTTP clients.
//!
//! A client follows no redirects, uses no proxy from the environment, sends no request twice, trusts the given roots and reads
//! bodies of limited size. `forward` uses [`PostClient`] to reach the upstream. [`PostClient`] uses hyper's connections directly,
//! because the reported delivery depends on whether a byte has left. [`get_document`] fetches documents such as a JWKS, and
//! [`call`](mod@call) is for the command line. Both use reqwest, on which no other crate depends. [`OutsideClient`] posts to hosts
//! that an operator names, and checks each address before it connects.

mod body;
pub mod call;
mod client;
mod coding;
mod connection;
mod document;
mod driver;
mod error;
mod outside;
mod pool;
mod post;
mod retry_after;
mod target;
mod tls;
mod trace_headers;
mod write_count;

pub use body::{BodyError, ROOM_WAIT};
pub use client::{BoxedFuture, Client, ClientConfig, Roots, build};
pub use document::{PostedDocument, get_document, post_document};
pub use error::TransportError;
pub use outside::{Lookup, OutsideAnswer, OutsideClient, OutsideError, OutsidePost, system_lookup};
pub use post::{ClientFactory, Post, PostAnswer, PostClient};
pub use retry_after::retry_after;
pub use target::Target;
pub use trace_headers::TraceHeaders;
