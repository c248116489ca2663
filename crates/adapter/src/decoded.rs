//! The parts that an adapter decodes from a request.

use crate::call::Request;
use crate::credentials::Credentials;
use crate::error::Error;

/// One decoded call that is not authorized yet.
#[derive(Debug)]
pub struct Decoded {
    /// The credentials that the caller presents.
    pub credentials: Credentials,
    /// The time from which the request is no longer valid, if the caller requires that this is checked; seconds since 1970, UTC.
    pub expires: Option<i64>,
    /// True if the URL contained a secret.
    pub secret_in_url: bool,
    /// The call. A mistake in it is reported only after the credentials have been checked.
    pub call: Result<Request, Error>,
    /// The idempotency key, or the error if the places that carry the key disagree.
    pub idempotency_key: Result<Option<String>, Error>,
}
