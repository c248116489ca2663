//! `/admin/v1/replay`: lists the journalled calls that proposed networks would have rejected.

use axum::body::Body;
use axum::extract::State;
use http::{Request, StatusCode};

use crate::api::endpoint::{AdminEndpoint, RequiredKey};
use crate::api::request::body;
use crate::journal::replay;
use crate::problem::{ApiResult, json_answer};
use crate::route_kind::RouteKind;
use crate::state::ConsoleState;

/// Returns the endpoints.
pub(super) fn endpoints() -> Vec<AdminEndpoint> {
    vec![
        AdminEndpoint::post(RequiredKey::Viewer, "/admin/v1/replay", replay)
            .kind(RouteKind::Query)
            .named(
                "replay",
                "Shows which calls in the journal the proposed networks would have rejected",
            )
            .accepts("Proposal")
            .answers(200, "Replay")
            .refuses(&[404, 422]),
    ]
}

async fn replay(State(console): ConsoleState, request: Request<Body>) -> ApiResult {
    let request = body(request).await?;
    let report = replay::replay(&console, request).await?;
    Ok(json_answer(StatusCode::OK, &report))
}
