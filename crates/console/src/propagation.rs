//! Acknowledges an operator's change once all replicas have applied it, or with the names of the replicas that have not.

use axum::body::Body;
use axum::extract::{MatchedPath, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use serde_json::{Value, json};
use store::{Propagation, PropagationWait, StoreError};
use url::form_urlencoded;

use crate::api::auth::BEHIND_KEYS;
use crate::problem::Problem;
use crate::route_kind::RouteKind;
use crate::state::ConsoleState;

/// The header with the number of replicas that have applied a change and the number of all replicas: `2/3`, or [`UNKNOWN`].
pub(crate) const IN_FORCE: HeaderName = HeaderName::from_static("chatgate-in-force");

/// The header with the replicas that have not yet confirmed the change.
pub(crate) const PENDING: HeaderName = HeaderName::from_static("chatgate-pending");

/// The change is stored, but it is unknown which replicas have applied it.
const UNKNOWN: &str = "unknown";

/// The parameter with which a request waits until the leases of silent replicas expire.
const WAIT: &str = "wait";

/// The field in a page's address that reports how far the change of a form has spread.
pub(crate) const FIELD: &str = "in_force";

/// Describes the parameter [`WAIT`] for the OpenAPI document.
pub(crate) fn parameter() -> Value {
    let text = "If several gateways share the store, waits until each of them has applied the change or its lease has expired.";
    json!({"name": WAIT, "in": "query", "description": text, "schema": {"enum": ["all"]}})
}

/// Waits for the other replicas after a request that may have changed something. A single process that stores its data in a file
/// does not wait.
pub(crate) async fn acknowledge(
    State(console): ConsoleState,
    request: Request<Body>,
    next: Next,
) -> Response {
    let route = console.route_kinds.of(&request);
    // A process that was stopped or is cut off may not know that the key of this request was deleted.
    let path = request.extensions().get::<MatchedPath>();
    let is_behind_keys = path.is_some_and(|path| path.as_str().starts_with(BEHIND_KEYS));
    if is_behind_keys && route != RouteKind::Local && !console.store.has_lease() {
        let text = "This replica lacks changes from the database. Try again when it has read them.";
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_failing", text)
            .into_response();
    }
    if route == RouteKind::Query || matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    let wait = match wait_of(request.uri().query().unwrap_or_default()) {
        Ok(wait) => wait,
        Err(problem) => return problem.into_response(),
    };
    let mut response = next.run(request).await;
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        return response;
    }
    let spread = console.store.await_propagation(wait).await;
    if let Some(spread) = spread.transpose() {
        announce(&mut response, &spread);
    }
    response
}

fn wait_of(query: &str) -> Result<PropagationWait, Problem> {
    let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == WAIT);
    match (values.next(), values.next()) {
        (None, _) => Ok(PropagationWait::Acknowledgement),
        (Some((_, value)), None) if value == "all" => Ok(PropagationWait::Leases),
        _ => {
            let mistake = (WAIT.to_owned(), "write all, once".to_owned());
            Err(Problem::unreadable(vec![mistake]))
        }
    }
}

fn announce(response: &mut Response, spread: &Result<Propagation, StoreError>) {
    let (in_force, pending) = match spread {
        Ok(spread) => {
            let in_force = format!("{}/{}", spread.replicas, spread.of);
            (in_force, spread.pending.join(", "))
        }
        Err(error) => {
            tracing::warn!(%error, "it is not known whether other replicas have applied a change");
            (UNKNOWN.to_owned(), String::new())
        }
    };
    set(response, IN_FORCE, &in_force);
    if spread.is_ok() && pending.is_empty() {
        return;
    }
    if !pending.is_empty() {
        tracing::warn!(pending, "not all replicas have applied a change yet");
        set(response, PENDING, &pending);
    }
    let headers = response.headers();
    let next = headers
        .get(header::LOCATION)
        .and_then(|to| to.to_str().ok());
    if let Some(next) = next.filter(|_| response.status().is_redirection()) {
        let sign = if next.contains('?') { '&' } else { '?' };
        let next = format!("{next}{sign}{FIELD}={in_force}");
        set(response, header::LOCATION, &next);
    }
}

fn set(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Returns the notice for the page after a change that not all replicas have applied. Returns `None` if the text does not describe
/// such a state.
pub(crate) fn notice(in_force: &str) -> Option<String> {
    if in_force == UNKNOWN {
        let text = "The change is stored. It is not known which replicas have applied it, because the database did not answer.";
        return Some(text.to_owned());
    }
    let (replicas, of) = in_force.split_once('/')?;
    let (replicas, of): (u16, u16) = (replicas.parse().ok()?, of.parse().ok()?);
    Some(format!(
        "The change is stored, and {replicas} of {of} replicas have applied it. The others apply it when they can reach the database."
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_notice_accepts_only_replica_counts_or_unknown() {
        assert!(notice("2/3").unwrap().contains("2 of 3"));
        assert!(notice("unknown").unwrap().contains("not known"));
        for other in ["", "2", "2/", "a/b", "<b>/3", "2/3/4"] {
            assert_eq!(notice(other), None, "{other}");
        }
    }

    #[test]
    fn wait_all_requests_waiting_for_leases_and_other_values_are_rejected() {
        assert_eq!(wait_of("").ok(), Some(PropagationWait::Acknowledgement));
        assert_eq!(wait_of("a=b&wait=all").ok(), Some(PropagationWait::Leases));
        for wrong in ["wait=", "wait=1", "wait=all&wait=all"] {
            assert!(wait_of(wrong).is_err(), "{wrong}");
        }
    }
}
