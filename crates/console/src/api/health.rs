//! Health, readiness and metrics, which need no key, and the status.

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::json;
use telemetry::MetricsFormat;

use crate::api::endpoint::{AdminEndpoint, RequiredKey};
use crate::problem::{ApiResult, answer, json_answer};
use crate::route_kind::RouteKind;
use crate::state::ConsoleState;

/// Returns the endpoints.
pub(super) fn endpoints() -> Vec<AdminEndpoint> {
    let ready = |path, id| {
        AdminEndpoint::get(RequiredKey::None, path, readyz)
            .named(id, "Reports whether the gateway accepts calls")
            .answers(200, "Health")
            .answers(503, "Health")
    };
    vec![
        AdminEndpoint::get(RequiredKey::None, "/livez", livez)
            .named("isAlive", "Reports that the process is alive")
            .answers(200, "Health"),
        ready("/readyz", "isReady"),
        ready("/healthz", "isHealthy"),
        ready("/startupz", "hasStarted"),
        AdminEndpoint::get(RequiredKey::None, "/metrics", metrics)
            .named("readMetrics", "Returns the metrics for Prometheus")
            .answers_in(200, "text/plain")
            .answers_in(200, MetricsFormat::OPEN_METRICS),
        AdminEndpoint::get(RequiredKey::Viewer, "/admin/v1/status", status)
            .kind(RouteKind::Local)
            .named("readStatus", "Returns the status of the gateway")
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

async fn metrics(State(console): ConsoleState, headers: HeaderMap) -> Response {
    let mut accepted = headers.get_all(header::ACCEPT).iter();
    let is_open = accepted.any(|accepted| {
        let accepted = accepted.to_str().unwrap_or_default();
        accepted.contains(MetricsFormat::OPEN_METRICS)
    });
    let format = if is_open {
        MetricsFormat::OpenMetrics
    } else {
        MetricsFormat::Prometheus
    };
    let text = console.gateway.metrics(format);
    let mut response = answer(StatusCode::OK, format.content_type(), text);
    let vary = HeaderValue::from_static("accept");
    response.headers_mut().insert(header::VARY, vary);
    response
}

async fn status(State(console): ConsoleState) -> ApiResult {
    Ok(json_answer(StatusCode::OK, &console.gateway.status()))
}

fn json_text(status: StatusCode, body: String) -> Response {
    answer(status, "application/json", body)
}
