//! The contract of every way in: the operation table, the common request, its credentials, its answer, and the closed set
//! of codes that a call can end with.
//!
//! A way in is one implementation of [`Adapter`]: it turns bytes into a [`Decoded`] call and an [`Answer`] back into bytes.
//! Nothing here does IO, asks the clock or knows a framework, so that all of it can be tested as plain functions.

mod authorization;
mod body_buffer;
mod call;
mod code;
mod credentials;
mod envelope;
mod error;
mod file_url;
mod json;
mod operation;
mod parameters;
mod params;
mod response;
mod rest;
mod schema;
mod wire;

pub use authorization::{Authorization, read_authorization};
pub use body_buffer::BodyBuffer;
pub use call::Request;
pub use code::{Code, CodeOrigin};
pub use credentials::{Credentials, PASSWORD_BYTES_MAX, USER_BYTES_MAX};
pub use envelope::{StatusPolicy, envelope, json_reply};
pub use error::{Delivery, Error};
pub use json::compact;
pub use operation::{
    CLASS, Effect, OPERATIONS, Operation, PLATFORMS, Parameter, ParameterKind, Sensitivity,
};
pub use params::{Params, has_forbidden_character};
pub use response::{Answer, Reply, Response};
pub use rest::Rest;
pub use schema::{
    Notation, call_example, call_schema, refusal_schema, success_schema, text_schema,
};
pub use wire::{Decoded, Dialect, Way, Wire};

/// One way in. Both directions are pure: the same bytes give the same call, the same outcome the same bytes.
pub trait Adapter: Send + Sync {
    /// Which way in this is; names it in logs, metrics and the access's list of allowed ways.
    fn way(&self) -> Way;

    /// The dialect to refuse in as long as the body has not been read, judged by the head alone.
    fn dialect(&self, wire: &Wire<'_>) -> Dialect;

    /// Refuses what the head alone has decided, whatever the body says; the body of `wire` is empty. Asked before a caller
    /// who waits for `100 Continue` is let go on (RFC 9110, 10.1.1).
    ///
    /// # Errors
    /// What [`Adapter::decode`] would say once such a body is there and can be read.
    fn refuse_head(&self, wire: &Wire<'_>) -> Result<(), Error>;

    /// Reads one call. What is wrong with the call itself stays shut inside [`Decoded::call`] until the caller has proved
    /// who they are; only what makes the request unreadable or leaves credentials, class or method out is an error here.
    fn decode(&self, wire: &Wire<'_>) -> (Dialect, Result<Decoded, Error>);

    /// Tells the outcome in the caller's dialect. Cannot fail: every code has a rendering in every way in.
    fn encode(&self, dialect: Dialect, answer: &Answer<'_>) -> Reply;
}
