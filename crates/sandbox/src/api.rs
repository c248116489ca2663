//! Answers calls of the chat API as the upstream does.

use adapter::{Reply, Way, Wire};
use http::{Method, Response};
use hyper::body::Incoming;

use crate::answer::{Body, method_not_allowed, read_body, refusal, respond, success};
use crate::app_state::AppState;
use crate::call::{self, ApiCall};
use crate::connection_handle::ConnectionHandle;
use crate::fault_injection::inject_fault;

/// Answers one request to `/api/http/` or `/api/basic/`.
pub(crate) async fn answer(
    state: &AppState,
    handle: &ConnectionHandle,
    way: Way,
    request: http::Request<Incoming>,
) -> Response<Body> {
    if state.faults.refuse_now() {
        return handle.reset().await;
    }
    if !matches!(*request.method(), Method::GET | Method::POST) {
        return method_not_allowed("GET, POST");
    }
    let (head, body) = request.into_parts();
    let body = match read_body(body).await {
        Ok(body) => body,
        Err(error) => return respond(refusal(way, &error)),
    };
    let call = call::read(
        &state.account,
        way,
        &Wire {
            query: head.uri.query().unwrap_or(""),
            headers: &head.headers,
            body: &body,
        },
    );
    let fault = state.faults.take(call.operation.map(|op| op.method));
    let number = state.arrivals.arrived(&call, fault.as_ref());
    match fault {
        None => respond(perform(state, way, &call, number).await),
        Some(fault) => {
            let honest = if fault.fault.performs() {
                Some(perform(state, way, &call, number).await)
            } else {
                None
            };
            inject_fault(&fault, way, handle, honest).await
        }
    }
}

/// Performs the call and renders its outcome; `number` is the call's number in the list of sends.
async fn perform(state: &AppState, way: Way, call: &ApiCall, number: Option<u64>) -> Reply {
    let request = match call.entry.as_ref().and(call.request.as_ref()) {
        Ok(request) => request,
        Err(error) => return refusal(way, error),
    };
    match state.chats.perform(request).await {
        Ok(result) => {
            if let Some(number) = number {
                state.arrivals.stored(number);
            }
            success(&result)
        }
        Err(error) => refusal(way, &error),
    }
}
