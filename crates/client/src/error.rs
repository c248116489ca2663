//! Errors of a connection.

use crate::connection;

/// The reason why there was no complete answer.
#[derive(Debug)]
pub struct TransportError {
    /// True if no byte of the request has left, or if the peer reports that it has not processed the request. Then the request may
    /// be sent again, whatever it does.
    pub unsent: bool,
    /// True if the deadline passed.
    pub timed_out: bool,
    /// The causes on one line, without the URL.
    pub cause: String,
}

impl TransportError {
    /// Creates the error for a connection that could not be established.
    pub(crate) fn unsent(cause: String) -> TransportError {
        TransportError {
            unsent: true,
            timed_out: false,
            cause,
        }
    }
}

impl From<reqwest::Error> for TransportError {
    fn from(error: reqwest::Error) -> TransportError {
        TransportError {
            unsent: error.is_connect(),
            timed_out: error.is_timeout(),
            cause: causes(error),
        }
    }
}

/// Returns an error and its causes on one line, without the URL, which may contain credentials.
pub(crate) fn causes(error: reqwest::Error) -> String {
    connection::causes(&error.without_url())
}
