//! What an adapter reads from a request.

use crate::call::Request;
use crate::credentials::Credentials;
use crate::error::Error;

/// One call, read but not yet authorized.
#[derive(Debug)]
pub struct Decoded {
    /// The credentials that the caller presents.
    pub credentials: Credentials,
    /// Whether a secret stood in the URL.
    pub secret_in_url: bool,
    /// The call; a mistake in it is not reported before the credentials have been checked.
    pub call: Result<Request, Error>,
    /// The idempotency key, or the error that the places that carry it disagree.
    pub idempotency_key: Result<Option<String>, Error>,
}
