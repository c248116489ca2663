//! A change by an operator is acknowledged when all replicas have it in force, or by the names of those that have not.

use axum::body::Body;
use axum::extract::State;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue, Method, Request};
use store::Spread;

use crate::state::ConsoleState;

/// In how many replicas of how many a change is in force: `2/3`.
const IN_FORCE: HeaderName = HeaderName::from_static("chatgate-in-force");

/// The replicas that have not said yet that it is.
const PENDING: HeaderName = HeaderName::from_static("chatgate-pending");

/// Waits for the other replicas after a request that may have changed something. One process over a file waits for nobody.
pub(crate) async fn acknowledge(
    State(console): ConsoleState,
    request: Request<Body>,
    next: Next,
) -> Response {
    let may_change = !matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = next.run(request).await;
    let status = response.status();
    if !may_change || status.is_client_error() || status.is_server_error() {
        return response;
    }
    match console.store.spread().await {
        Ok(Some(spread)) => announce(&mut response, &spread),
        Ok(None) => {}
        Err(error) => {
            tracing::warn!(%error, "whether other replicas have a change is not known");
        }
    }
    response
}

fn announce(response: &mut Response, spread: &Spread) {
    let in_force = format!("{}/{}", spread.replicas, spread.of);
    if let Ok(in_force) = HeaderValue::from_str(&in_force) {
        response.headers_mut().insert(IN_FORCE, in_force);
    }
    if spread.pending.is_empty() {
        return;
    }
    tracing::warn!(pending = ?spread.pending, "a change is not in force in all replicas yet");
    if let Ok(pending) = HeaderValue::from_str(&spread.pending.join(", ")) {
        response.headers_mut().insert(PENDING, pending);
    }
}
