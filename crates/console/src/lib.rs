//! The operators' side, on a listener of its own: whether the gateway lives, whether it is ready, its metrics, and, behind a
//! key, its status, its signing keys and a copy of its store.

mod backup;
mod keys;
mod operations;
mod problem;

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode, header};
use problem::{Problem, json, response};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

pub use backup::Backups;
pub use keys::{KeyRow, Keys};
pub use operations::{Failed, Operations, Pending};

/// What the console asks the gateway.
pub trait Gateway: Operations {
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
    copies: Arc<Semaphore>,
}

impl Console {
    /// Takes what it asks and the operator's key.
    #[must_use]
    pub fn new(gateway: Arc<dyn Gateway>, key: &SecretString) -> Console {
        Console {
            gateway,
            key_hash: hash(key.expose_secret().as_bytes()),
            copies: Arc::new(Semaphore::new(backup::COPIES_MAX)),
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
            .route("/admin/v1/keys", get(keys::list))
            .route("/admin/v1/keys/rotate", post(keys::rotate))
            .route("/admin/v1/backup", post(backup::backup))
            .fallback(nothing_here)
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(Arc::new(self))
    }

    /// Lets an operator through, and nobody else. The first line of everything below `/admin/`.
    fn operator(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if self.knows(headers) {
            Ok(())
        } else {
            Err(Problem::unauthorized())
        }
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

async fn status(
    State(console): State<Arc<Console>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    console.operator(&headers)?;
    Ok(json(&console.gateway.status()))
}

async fn nothing_here(
    State(console): State<Arc<Console>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    console.operator(&headers)?;
    let detail = "There is nothing at this path.";
    Err(Problem::new(StatusCode::NOT_FOUND, detail))
}

async fn method_not_allowed() -> Problem {
    let detail = "This HTTP method is not allowed here.";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

fn hash(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}
