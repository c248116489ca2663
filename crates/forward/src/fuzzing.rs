//! The reader of the upstream's answers, opened for the oracles in `fuzz/oracles`. Nothing of the gateway uses this module;
//! why it is no feature is said in the gateway's module of the same name.

use adapter::{Error, Response};

use crate::upstream::answer::{UpstreamAnswer, error_of_code, parse};

/// What an answer of the upstream says: its result, or the error that its code stands for.
///
/// # Errors
/// What is wrong with it, when nothing can be made of it.
pub fn upstream_answer(body: &[u8]) -> Result<Result<Response, Error>, &'static str> {
    match parse(body)? {
        UpstreamAnswer::Success(response) => Ok(Ok(response)),
        UpstreamAnswer::Error(code) => error_of_code(&code)
            .map(Err)
            .ok_or("a code of no known shape"),
    }
}
