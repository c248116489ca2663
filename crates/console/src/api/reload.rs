//! `/admin/v1/reload`: reads the configuration again.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;

use crate::api::auth::Actor;
use crate::api::endpoint::{AdminEndpoint, RequiredKey};
use crate::operation::run_to_completion;
use crate::problem::{ApiResult, json_answer};
use crate::route_kind::RouteKind;
use crate::state::ConsoleState;

/// Returns the endpoints.
pub(super) fn endpoints() -> Vec<AdminEndpoint> {
    vec![
        AdminEndpoint::post(RequiredKey::Operator, "/admin/v1/reload", reload)
            .kind(RouteKind::Local)
            .named(
                "reload",
                "Reloads the configuration; if it has a mistake, the old one stays in use",
            )
            .answers(200, "Reload")
            .refuses(&[422, 500]),
    ]
}

async fn reload(State(console): ConsoleState, Actor(actor): Actor) -> ApiResult {
    let reloaded = run_to_completion(Arc::clone(&console.gateway).reload(actor)).await?;
    Ok(json_answer(StatusCode::OK, &reloaded))
}
