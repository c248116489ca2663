//! The answers to requests that no endpoint of the admin listener handles.

use axum::extract::State;
use http::{HeaderMap, Uri};

use crate::api::auth::BEHIND_KEYS;
use crate::problem::{ApiResult, Problem};
use crate::state::ConsoleState;

/// Answers requests to paths that do not exist.
pub(crate) async fn not_found(State(console): ConsoleState, headers: HeaderMap) -> ApiResult {
    console.any_key_name(&headers)?;
    Err(Problem::not_found())
}

/// Answers requests with a method that the path does not support.
pub(crate) async fn method_not_allowed(
    State(console): ConsoleState,
    uri: Uri,
    headers: HeaderMap,
) -> ApiResult {
    // Paths outside the admin API need no key, regardless of the method.
    if uri.path().starts_with(BEHIND_KEYS) {
        console.any_key_name(&headers)?;
    }
    Err(Problem::method_not_allowed())
}
