//! The admin API under `/admin/v1/`, and the endpoints that answer without a key: health, readiness and metrics.

mod accesses;
mod admin_keys;
pub(crate) mod auth;
mod backup;
mod endpoint;
mod explain;
pub(crate) mod fallback;
mod health;
mod journal;
mod openapi;
mod receipts;
mod reload;
mod replay;
mod replicas;
mod request;
mod schemas;
mod signing_keys;
mod transfer;
mod webhook_schemas;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use crate::problem::{Problem, json_answer};
use crate::state::{Console, ConsoleState};
use endpoint::{AdminEndpoint, RequiredKey};

/// Returns a router with every endpoint. No other code adds a path to the admin API.
pub(crate) fn router() -> Router<Arc<Console>> {
    let add = |router: Router<_>, endpoint: AdminEndpoint| endpoint.add_to(router);
    endpoints().into_iter().fold(Router::new(), add)
}

/// Returns every endpoint. The router and the OpenAPI document are both made from this list.
fn endpoints() -> Vec<AdminEndpoint> {
    let document = AdminEndpoint::get("/admin/v1/openapi.json", describe)
        .named("describeAdmin", "Returns this document")
        .requires(RequiredKey::Viewer)
        .answers(200, "OpenApi");
    [
        health::endpoints(),
        vec![document],
        openapi::endpoints(),
        accesses::endpoints(),
        admin_keys::endpoints(),
        webhooks::endpoints(),
        transfer::endpoints(),
        receipts::endpoints(),
        journal::endpoints(),
        explain::endpoints(),
        replay::endpoints(),
        signing_keys::endpoints(),
        replicas::endpoints(),
        reload::endpoints(),
        backup::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

async fn describe(State(console): ConsoleState, headers: HeaderMap) -> Result<Response, Problem> {
    console.viewer(&headers)?;
    let version = &console.gateway.status()["version"];
    let document = openapi::document(&endpoints(), version);
    Ok(json_answer(StatusCode::OK, &document))
}
