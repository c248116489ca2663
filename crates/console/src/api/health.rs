//! Health, readiness and metrics, which answer without a key, and the status.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::json;

use crate::api::endpoint::{AdminEndpoint, RequiredKey};
use crate::problem::{ApiResult, answer, json_answer};
use crate::state::ConsoleState;

/// Lists the paths.
pub(super) fn endpoints() -> Vec<AdminEndpoint> {
    let ready = |path, id| {
        AdminEndpoint::get(path, readyz)
            .named(id, "Reports whether the gateway takes calls")
            .answers(200, "Health")
            .answers(503, "Health")
    };
    vec![
        AdminEndpoint::get("/livez", livez)
            .named("isAlive", "Reports that the process lives")
            .answers(200, "Health"),
        ready("/readyz", "isReady"),
        ready("/healthz", "isHealthy"),
        ready("/startupz", "hasStarted"),
        AdminEndpoint::get("/metrics", metrics)
            .named("readMetrics", "Returns the metrics for Prometheus")
            .answers_in(200, "application/openmetrics-text"),
        AdminEndpoint::get("/admin/v1/status", status)
            .named("readStatus", "Returns the status of the gateway")
            .wants(RequiredKey::Viewer)
            .answers(200, "Status"),
    ]
}

async fn livez() -> Response {
    json_text(StatusCode::OK, "{\"status\":\"ok\"}".to_owned())
}

async fn readyz(State(console): ConsoleState) -> Response {
    match console.gateway.not_ready() {
        None => {
            let degraded = console.gateway.degraded();
            let mut body = json!({"status": "ready"});
            if !degraded.is_empty() {
                body["degraded"] = json!(degraded);
            }
            json_text(StatusCode::OK, body.to_string())
        }
        Some(reason) => {
            let body = format!("{{\"status\":\"not_ready\",\"reason\":\"{reason}\"}}");
            json_text(StatusCode::SERVICE_UNAVAILABLE, body)
        }
    }
}

async fn metrics(State(console): ConsoleState) -> Response {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    answer(StatusCode::OK, content_type, console.gateway.metrics())
}

async fn status(State(console): ConsoleState, headers: HeaderMap) -> ApiResult {
    console.viewer(&headers)?;
    Ok(json_answer(StatusCode::OK, &console.gateway.status()))
}

fn json_text(status: StatusCode, body: String) -> Response {
    answer(status, "application/json", body)
}
