//! The contract of every way in: the operation table, the common request, its credentials, its answer, and the closed set of codes
//! with which a call can fail.
//!
//! A way in is one implementation of [`Adapter`]: it decodes bytes into a [`Decoded`] call and encodes an [`Answer`] into bytes.
//! Nothing here does IO, reads the clock or depends on a framework, so that all of it can be tested as plain functions.

mod answer;
mod authorization;
mod body_buffer;
mod call;
mod charset;
mod code;
mod credentials;
mod decoded;
mod dialect;
mod envelope;
mod error;
mod event;
mod file_url;
mod form;
mod header_parameter;
mod json;
mod media;
mod multipart;
mod operation;
mod pair_count;
mod params;
mod reply;
mod response;
mod rest;
mod schema;
mod text;
mod way;
mod wire;

pub use answer::Answer;
pub use authorization::{Authorization, read_authorization};
pub use body_buffer::BodyBuffer;
pub use call::Request;
pub use code::{Code, CodeOrigin};
pub use credentials::{Credentials, PASSWORD_BYTES_MAX, USER_BYTES_MAX};
pub use decoded::Decoded;
pub use dialect::{Dialect, EnvelopeFault, SoapDialect, SoapVersion};
pub use envelope::{StatusPolicy, envelope, json_reply};
pub use error::{Delivery, Error};
pub use event::{CURSOR_WORDS, EVENT_TYPES, EVENTS_MAX, GET_EVENTS, WAIT_MAX_S};
pub use file_url::{is_public_address, is_public_name};
pub use form::{FormPair, form_decoded, form_pairs};
pub use header_parameter::header_parts;
pub use json::{JsonElements, JsonPairs, compact, strict_object};
pub use media::content_type;
pub use operation::{
    CLASS, Caching, Effect, FILE_TYPES, OPERATION_COUNT, OPERATIONS, Operation, PLATFORMS,
    Parameter, ParameterKind, Sensitivity, cacheable, operations,
};
pub use params::{IDEMPOTENCY_KEY_BYTES_MAX, Params};
pub use reply::Reply;
pub use response::Response;
pub use rest::BodyRest;
pub use schema::{
    Notation, call_example, call_schema, refusal_schema, success_schema, text_schema,
};
pub use text::has_forbidden_character;
pub use way::Way;
pub use wire::Wire;

/// One way in. Both directions are pure: the same bytes always give the same call, and the same outcome always gives the same
/// bytes.
pub trait Adapter: Send + Sync {
    /// Returns the way in, which names the adapter in logs, metrics and an access's list of allowed ways in.
    fn way(&self) -> Way;

    /// Returns the dialect for errors before the body has been read. It depends on the head alone.
    fn dialect(&self, _wire: &Wire<'_>) -> Dialect {
        Dialect::default()
    }

    /// Rejects a request if the head alone decides that, whatever the body contains. The body of `wire` is empty. Called before a
    /// large body is read, and before a client that waits for `100 Continue` is asked for its body (RFC 9110, 10.1.1).
    ///
    /// # Errors
    /// The error that [`Adapter::decode`] returns for such a head with a readable body.
    fn refuse_head(&self, wire: &Wire<'_>) -> Result<(), Error>;

    /// Reads one call. A mistake in the call itself stays inside [`Decoded::call`] until the caller is authenticated. The result is
    /// an error only if the request cannot be read, or lacks credentials, class or method.
    fn decode(&self, wire: &Wire<'_>) -> (Dialect, Result<Decoded, Error>);

    /// Checks that the result of an operation can be rendered without loss.
    ///
    /// # Errors
    /// UPSTREAM_ERROR.
    fn check_result(&self, _operation: &Operation, _response: &Response) -> Result<(), Error> {
        Ok(())
    }

    /// Renders the outcome in the caller's dialect. Cannot fail, because every way in can render every code.
    fn encode(&self, dialect: Dialect, answer: &Answer<'_>) -> Reply;
}
