//! Failures of a connection.

/// Why there was no whole answer.
#[derive(Debug)]
pub struct TransportError {
    /// No byte of the request has left, or the peer says that it has not looked at it: it may be sent again, whatever it does.
    pub unsent: bool,
    /// Time ran out.
    pub timed_out: bool,
    /// The causes on one line, without the URL.
    pub cause: String,
}

impl TransportError {
    /// No connection was made.
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

/// An error and its causes on one line, without the URL, which may hold credentials.
pub(crate) fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut line = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}
