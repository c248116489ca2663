//! The operators' side, on a listener of its own: whether the gateway lives, whether it is ready, its metrics, and, behind
//! named keys, its status, the accesses, the journal, the signing keys and a copy of the store.

mod accesses;
mod admin_keys;
mod backup;
mod draft;
mod endpoint;
mod explain;
mod host;
mod imported;
mod journal;
mod keys;
mod manage;
mod moment;
mod openapi;
mod operations;
mod operator_rows;
mod problem;
mod receipts;
mod reload;
mod replay;
mod request;
mod schemas;
mod secrets;
mod transfer;
mod view;
mod web;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use http::{HeaderMap, StatusCode, Uri, header};
use secrecy::SecretString;
use store::{AdminKey, Role, SecretHasher, Store, presented};
use tokio::sync::Semaphore;

pub use backup::Backups;
pub use explain::{Explains, Question};
pub use keys::{KeyRow, Keys};
pub use operations::{Failed, Operations, Pending};
pub use reload::Reloads;

use accesses::told;
use endpoint::{Endpoint, Key};
use problem::{Problem, answer};

/// Where paths begin that want a key.
const BEHIND_KEYS: &str = "/admin/";

/// What the console asks the gateway.
pub trait Gateway: Operations {
    /// Why it can't take traffic right now; `None` when it can.
    fn not_ready(&self) -> Option<&'static str>;

    /// The metrics in Prometheus's text format.
    fn metrics(&self) -> String;

    /// The status as one JSON object.
    fn status(&self) -> serde_json::Value;

    /// The OpenAPI document of the JSON ways in.
    fn openapi_ways(&self) -> serde_json::Value;

    /// Whether the operators' side is reached by TLS alone.
    fn admin_has_tls(&self) -> bool;

    /// Whether the operators' side is configured to be known by this name, given in small letters.
    fn is_admin_host(&self, name: &str) -> bool;

    /// Seconds since 1970, UTC.
    fn now(&self) -> i64;
}

/// The console of one gateway.
pub struct Console {
    gateway: Arc<dyn Gateway>,
    store: Arc<Store>,
    hasher: Arc<SecretHasher>,
    copies: Arc<Semaphore>,
    sessions: web::Sessions,
    attempts: web::Attempts,
    live: web::Live,
    open_pages: Arc<web::OpenPages>,
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
            sessions: web::Sessions::default(),
            attempts: web::Attempts::default(),
            live: web::Live::new(),
            open_pages: Arc::default(),
        }
    }

    /// Every path of the admin listener, and what has to run beside it until the gateway ends. Without a key or a session
    /// only those paths answer that want none.
    pub fn open(self) -> (Router, impl Future<Output = ()> + Send + use<>) {
        let console = Arc::new(self);
        let router = endpoint::router(endpoints())
            .merge(web::router())
            .fallback(nothing_here)
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(Arc::clone(&console))
            .layer(from_fn_with_state(
                Arc::clone(&console),
                operator_rows::record,
            ))
            .layer(from_fn_with_state(Arc::clone(&console), host::guard));
        (router, web::run(console))
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

/// Every path of the admin listener: the router and the OpenAPI document are made from this list.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let ready = |path, id| {
        Endpoint::get(path, readyz)
            .named(id, "Whether the gateway takes calls")
            .answers(200, "Health")
            .answers(503, "Health")
    };
    let mut endpoints = vec![
        Endpoint::get("/livez", livez)
            .named("isAlive", "Whether the process lives")
            .answers(200, "Health"),
        ready("/readyz", "isReady"),
        ready("/healthz", "isHealthy"),
        ready("/startupz", "hasStarted"),
        Endpoint::get("/metrics", metrics)
            .named("readMetrics", "The metrics for Prometheus")
            .answers_in(200, "application/openmetrics-text"),
        Endpoint::get("/admin/v1/status", status)
            .named("readStatus", "How the gateway does")
            .wants(Key::Viewer)
            .answers(200, "Status"),
    ];
    endpoints.extend(openapi::endpoints());
    endpoints.extend(accesses::endpoints());
    endpoints.extend(admin_keys::endpoints());
    endpoints.extend(transfer::endpoints());
    endpoints.extend(receipts::endpoints());
    endpoints.extend(journal::endpoints());
    endpoints.extend(explain::endpoints());
    endpoints.extend(replay::endpoints());
    endpoints.extend(keys::endpoints());
    endpoints.extend(reload::endpoints());
    endpoints.extend(backup::endpoints());
    endpoints
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

async fn method_not_allowed(
    State(console): State<Arc<Console>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let refusal = Problem::method_not_allowed();
    // What is beside the admin API can be asked without a key, rightly or wrongly.
    let known = if uri.path().starts_with(BEHIND_KEYS) {
        console.viewer(&headers).map(|_| ())
    } else {
        Ok(())
    };
    told(known.and(Err(refusal)))
}
