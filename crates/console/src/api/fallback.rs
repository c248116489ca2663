//! What answers where no endpoint does.

use axum::extract::State;
use http::{HeaderMap, Uri};

use crate::api::auth::BEHIND_KEYS;
use crate::problem::{ApiResult, Problem};
use crate::state::ConsoleState;

/// Answers paths that do not exist.
pub(crate) async fn not_found(State(console): ConsoleState, headers: HeaderMap) -> ApiResult {
    console.viewer(&headers)?;
    Err(Problem::not_found())
}

/// Answers methods that a path does not have.
pub(crate) async fn method_not_allowed(
    State(console): ConsoleState,
    uri: Uri,
    headers: HeaderMap,
) -> ApiResult {
    // Paths beside the admin API need no key, whatever the method.
    if uri.path().starts_with(BEHIND_KEYS) {
        console.viewer(&headers)?;
    }
    Err(Problem::method_not_allowed())
}
