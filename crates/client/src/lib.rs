//! The one place that builds HTTP clients.
//!
//! A client follows no redirects, takes no proxy from the environment, sends no request twice, trusts the roots it is given
//! and reads bodies of a bounded size. [`PostClient`] is what `forward` needs to reach the upstream: it speaks over hyper's
//! connections, because the delivery word hangs on whether a byte has left. [`get_document`] fetches documents such as a JWKS,
//! and [`call`](mod@call) is for the command line; both use reqwest, which nobody else knows.
//! [`OutsideClient`] posts to hosts that an operator names, and judges each address before it dials it.

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
mod target;
mod tls;
mod trace_headers;
mod write_count;

pub use body::{BodyError, ROOM_WAIT};
pub use client::{Boxed, Client, ClientConfig, Roots, build};
pub use document::{PostedDocument, get_document, post_document};
pub use error::TransportError;
pub use outside::{Lookup, OutsideAnswer, OutsideClient, OutsideError, OutsidePost, system_lookup};
pub use post::{ClientFactory, Post, PostAnswer, PostClient};
pub use target::Target;
pub use trace_headers::TraceHeaders;
