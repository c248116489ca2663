//! The one place that builds HTTP clients.
//!
//! A client follows no redirects, takes no proxy from the environment, sends no request twice, trusts the roots it is given
//! and reads bodies of a bounded size. [`PostClient`] is what `forward` needs to reach the upstream: it speaks over hyper's
//! connections, because the delivery word hangs on whether a byte has left. [`get_document`] fetches documents such as a JWKS,
//! and [`call`](mod@call) is for the command line; both use reqwest, which nobody else knows.

mod body;
pub mod call;
mod client;
mod coding;
mod connection;
mod document;
mod error;
mod pool;
mod post;
mod target;
mod tls;
mod write_count;

pub use body::BodyError;
pub use client::{Client, ClientConfig, Roots, build};
pub use document::get_document;
pub use error::TransportError;
pub use post::{ClientFactory, Post, PostAnswer, PostClient};
pub use target::Target;
