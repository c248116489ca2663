//! The one place that builds HTTP clients, and the only crate that knows reqwest.
//!
//! A client follows no redirects, takes no proxy from the environment, sends no request twice, trusts the roots it is given
//! and reads bodies of a bounded size. [`ClientFactory`] and [`Client::post`] are what `forward` needs to reach the
//! upstream; [`get_document`] fetches documents such as a JWKS, and [`call`](mod@call) is for the command line.

mod body;
pub mod call;
mod client;
mod coding;
mod document;
mod error;
mod post;
mod short_hosts;

pub use body::BodyError;
pub use client::{Client, ClientConfig, Roots, build};
pub use document::get_document;
pub use error::TransportError;
pub use post::{ClientFactory, PostAnswer};
pub use short_hosts::Target;
