//! The operators' side, on a listener of its own: whether the gateway lives, whether it is ready, its metrics, and, behind
//! named keys, its status, the accesses, the journal, the signing keys and a copy of the store.

mod accesses;
mod admin_keys;
mod backup;
mod draft;
mod explain;
mod imported;
mod journal;
mod keys;
mod operations;
mod problem;
mod receipts;
mod reload;
mod replay;
mod request;
mod secrets;
mod transfer;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use http::{HeaderMap, StatusCode, header};
use secrecy::SecretString;
use store::{AdminKey, Role, SecretHasher, Store, presented};
use tokio::sync::Semaphore;

pub use backup::Backups;
pub use explain::{Explains, Question};
pub use keys::{KeyRow, Keys};
pub use operations::{Failed, Operations, Pending};
pub use reload::Reloads;

use accesses::told;
use problem::{Problem, answer};

/// What the console asks the gateway.
pub trait Gateway: Operations {
    /// Why it can't take traffic right now; `None` when it can.
    fn not_ready(&self) -> Option<&'static str>;

    /// The metrics in Prometheus's text format.
    fn metrics(&self) -> String;

    /// The status as one JSON object.
    fn status(&self) -> serde_json::Value;

    /// Seconds since 1970, UTC.
    fn now(&self) -> i64;
}

/// The console of one gateway.
pub struct Console {
    gateway: Arc<dyn Gateway>,
    store: Arc<Store>,
    hasher: Arc<SecretHasher>,
    copies: Arc<Semaphore>,
}

impl Console {
    /// Takes what it asks, what it changes, and what compares keys.
    #[must_use]
    pub fn new(gateway: Arc<dyn Gateway>, store: Arc<Store>, hasher: Arc<SecretHasher>) -> Console {
        Console {
            gateway,
            store,
            hasher,
            copies: Arc::new(Semaphore::new(backup::COPIES_MAX)),
        }
    }

    /// Every path of the admin listener. Without a key only the first five answer.
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
            .route("/admin/v1/reload", post(reload::reload))
            .route("/admin/v1/backup", post(backup::backup))
            .route("/admin/v1/explain", post(explain::explain))
            .merge(accesses::routes())
            .merge(admin_keys::routes())
            .merge(transfer::routes())
            .merge(receipts::routes())
            .merge(journal::routes())
            .merge(replay::routes())
            .fallback(nothing_here)
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(Arc::new(self))
    }

    /// The name of the key that was presented, whatever its role.
    fn viewer(&self, headers: &HeaderMap) -> Result<String, Problem> {
        self.key(headers).map(|key| key.name)
    }

    /// The name of the key that was presented, if it may change things.
    fn operator(&self, headers: &HeaderMap) -> Result<String, Problem> {
        let key = self.key(headers)?;
        match key.role {
            Role::Operator => Ok(key.name),
            Role::Viewer => {
                let text = "This key may look and not change.";
                Err(Problem::new(StatusCode::FORBIDDEN, "viewer", text))
            }
        }
    }

    fn key(&self, headers: &HeaderMap) -> Result<AdminKey, Problem> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(Problem::unauthorized());
        };
        let bearer = value.to_str().ok().and_then(|value| value.split_once(' '));
        let key = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let key: SecretString = key.map(|(_, key)| key).unwrap_or_default().into();
        presented(&self.store.admin_keys(), &self.hasher, &key)
            .cloned()
            .ok_or_else(Problem::unauthorized)
    }

    fn now(&self) -> i64 {
        self.gateway.now()
    }
}

async fn livez() -> Response {
    answer(
        StatusCode::OK,
        "application/json",
        "{\"status\":\"ok\"}".to_owned(),
    )
}

async fn readyz(State(console): State<Arc<Console>>) -> Response {
    match console.gateway.not_ready() {
        None => answer(
            StatusCode::OK,
            "application/json",
            "{\"status\":\"ready\"}".to_owned(),
        ),
        Some(reason) => {
            let body = format!("{{\"status\":\"not_ready\",\"reason\":\"{reason}\"}}");
            answer(StatusCode::SERVICE_UNAVAILABLE, "application/json", body)
        }
    }
}

async fn metrics(State(console): State<Arc<Console>>) -> Response {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    answer(StatusCode::OK, content_type, console.gateway.metrics())
}

async fn status(State(console): State<Arc<Console>>, headers: HeaderMap) -> Response {
    told(console.viewer(&headers).map(|_| {
        answer(
            StatusCode::OK,
            "application/json",
            console.gateway.status().to_string(),
        )
    }))
}

async fn nothing_here(State(console): State<Arc<Console>>, headers: HeaderMap) -> Response {
    told(console.viewer(&headers).and(Err(Problem::not_found())))
}

async fn method_not_allowed(State(console): State<Arc<Console>>, headers: HeaderMap) -> Response {
    let text = "This HTTP method is not allowed here.";
    let refusal = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", text);
    told(console.viewer(&headers).and(Err(refusal)))
}
