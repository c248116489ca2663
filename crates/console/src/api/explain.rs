//! `/admin/v1/explain`: explains how the gateway would answer a call and why, without making the call.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use http::{Request, StatusCode};

use crate::api::endpoint::{AdminEndpoint, RequiredKey};
use crate::api::request::body;
use crate::explain::ExplainBody;
use crate::problem::{ApiResult, Problem, json_answer};
use crate::route_kind::RouteKind;
use crate::state::ConsoleState;

/// Returns the endpoints.
pub(super) fn endpoints() -> Vec<AdminEndpoint> {
    vec![
        AdminEndpoint::post(RequiredKey::Viewer, "/admin/v1/explain", explain)
            .kind(RouteKind::Query)
            .named(
                "explain",
                "Explains how the gateway would answer a call, and why",
            )
            .accepts("Question")
            .answers(200, "Explanation"),
    ]
}

async fn explain(State(console): ConsoleState, request: Request<Body>) -> ApiResult {
    let question = body::<ExplainBody>(request).await?.read();
    let question = question.map_err(Problem::unreadable)?;
    let explanation = Arc::clone(&console.gateway).explain(question).await;
    Ok(json_answer(StatusCode::OK, &explanation))
}
