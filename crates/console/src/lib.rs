//! The operators' side, on a listener of its own: whether the gateway lives, whether it is ready, its metrics, and, behind a
//! key, its status.

use std::fmt::Write;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use secrecy::{ExposeSecret, SecretString};

/// What the console asks the gateway.
pub trait Gateway: Send + Sync {
    /// Why it can't take traffic right now; `None` when it can.
    fn not_ready(&self) -> Option<&'static str>;

    /// The metrics in Prometheus's text format.
    fn metrics(&self) -> String;

    /// The status as one JSON object.
    fn status(&self) -> serde_json::Value;
}

/// The console of one gateway.
pub struct Console {
    gateway: Arc<dyn Gateway>,
    /// Only a hash is kept, and compared: lengths tell nothing, and a memory dump shows no key.
    key_hash: [u8; 32],
}

impl Console {
    /// Takes what it asks and the operator's key.
    #[must_use]
    pub fn new(gateway: Arc<dyn Gateway>, key: &SecretString) -> Console {
        Console {
            gateway,
            key_hash: hash(key.expose_secret().as_bytes()),
        }
    }

    /// Every path of the admin listener. Without the key only the first five answer.
    pub fn router(self) -> Router {
        Router::new()
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/healthz", get(readyz))
            .route("/startupz", get(readyz))
            .route("/metrics", get(metrics))
            .route("/admin/v1/status", get(status))
            .fallback(nothing_here)
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(Arc::new(self))
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return false;
        };
        let Some((scheme, key)) = value.to_str().ok().and_then(|value| value.split_once(' '))
        else {
            return false;
        };
        scheme.eq_ignore_ascii_case("bearer")
            && verify_slices_are_equal(&hash(key.as_bytes()), &self.key_hash).is_ok()
    }
}

async fn livez() -> Response {
    response(
        StatusCode::OK,
        "application/json",
        "{\"status\":\"ok\"}".to_owned(),
    )
}

async fn readyz(State(console): State<Arc<Console>>) -> Response {
    match console.gateway.not_ready() {
        None => response(
            StatusCode::OK,
            "application/json",
            "{\"status\":\"ready\"}".to_owned(),
        ),
        Some(reason) => {
            let body = format!("{{\"status\":\"not_ready\",\"reason\":\"{reason}\"}}");
            response(StatusCode::SERVICE_UNAVAILABLE, "application/json", body)
        }
    }
}

async fn metrics(State(console): State<Arc<Console>>) -> Response {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    response(StatusCode::OK, content_type, console.gateway.metrics())
}

async fn status(State(console): State<Arc<Console>>, headers: HeaderMap) -> Response {
    if !console.knows(&headers) {
        return unauthorized();
    }
    response(
        StatusCode::OK,
        "application/json",
        console.gateway.status().to_string(),
    )
}

async fn nothing_here(State(console): State<Arc<Console>>, headers: HeaderMap) -> Response {
    if !console.knows(&headers) {
        return unauthorized();
    }
    problem(StatusCode::NOT_FOUND, "There is nothing at this path.")
}

async fn method_not_allowed() -> Response {
    problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "This HTTP method is not allowed here.",
    )
}

fn unauthorized() -> Response {
    let mut response = problem(StatusCode::UNAUTHORIZED, "An admin key is needed.");
    response.headers_mut().insert(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static("Bearer realm=\"chatgate-admin\""),
    );
    response
}

/// RFC 9457.
fn problem(status: StatusCode, detail: &str) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let mut body = String::with_capacity(128);
    // Writing into a String can't fail; both texts are ours and need no escaping.
    let _ = write!(
        body,
        "{{\"type\":\"about:blank\",\"title\":\"{title}\",\"status\":{},\"detail\":\"{detail}\"}}",
        status.as_u16()
    );
    response(status, "application/problem+json", body)
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}
