//! Exposes the parser of the upstream's answers to the oracles in `fuzz/oracles`. The gateway does not use this module. The
//! gateway's module of the same name explains why it is not a feature.

use adapter::{Error, Response};

use crate::upstream::answer::{UpstreamAnswer, error_of_code, parse};

/// Parses an answer of the upstream and returns its result, or the error for its code.
///
/// # Errors
/// The defect of the answer, when it can't be used.
pub fn upstream_answer(body: &[u8]) -> Result<Result<Response, Error>, &'static str> {
    match parse(body)? {
        UpstreamAnswer::Success(response) => Ok(Ok(response)),
        UpstreamAnswer::Error(code) => error_of_code(&code)
            .map(Err)
            .ok_or("a code of an unknown shape"),
    }
}
