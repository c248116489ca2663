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

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use crate::problem::{Problem, json_answer};
use crate::routes::Routes;
use crate::state::ConsoleState;
use endpoint::{AdminEndpoint, RequiredKey};

/// Returns the routes of every endpoint. No other code adds a path to the admin API.
pub(crate) fn routes() -> Routes {
    let add = |routes, endpoint: AdminEndpoint| endpoint.add_to(routes);
    endpoints().into_iter().fold(Routes::default(), add)
}

/// Returns every endpoint. The router and the OpenAPI document are both made from this list.
fn endpoints() -> Vec<AdminEndpoint> {
    let document = AdminEndpoint::get(RequiredKey::Viewer, "/admin/v1/openapi.json", describe)
        .named("describeAdmin", "Returns this document")
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

async fn describe(State(console): ConsoleState) -> Result<Response, Problem> {
    let version = &console.gateway.status()["version"];
    let document = openapi::document(&endpoints(), version);
    Ok(json_answer(StatusCode::OK, &document))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_health_and_metrics_need_no_key() {
        let mut open = endpoints();
        open.retain(|endpoint| endpoint.key == RequiredKey::None);
        let open: Vec<_> = open.iter().map(|endpoint| endpoint.path).collect();
        assert_eq!(
            open,
            ["/livez", "/readyz", "/healthz", "/startupz", "/metrics"]
        );
    }
}
