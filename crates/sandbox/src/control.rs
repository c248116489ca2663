//! The control paths: act as the other side of a chat, set faults, list arrivals. They require no credentials, because the sandbox
//! is a tool on loopback. Beyond loopback they answer only with `--control`.
//!
//! - `POST /sandbox/receive` `{"platform","platformid","destination","message"}`: a message arrives, unread. The chat is opened if
//!   necessary. Answers 201 with the message as `getmessages` lists it; 404 `{"error":"CHANNEL_NOT_FOUND"}`; 400
//!   `{"error","text"}`.
//! - `GET /sandbox/faults`: the remaining rules. `PUT` replaces them and answers the new list, or 400 `{"error","text"}`, in which
//!   case the old rules stay.
//! - `GET /sandbox/sent`: `{"requests":3,"methods":{"getchats":1,"sendmessage":2,…},"sends":2,"stored":1,"list":[
//!   {"number":1,"method":"sendmessage","destination":"…","message":"…","platform":"…","platformid":"…","stored":true},
//!   {…,"stored":false,"fault":"reset"}]}`; files have `type`, `fileurl` and, if given, `thumburl`. The list contains the latest
//!   1,000 sends with legal parameters, regardless of their credentials; see [`crate::arrivals::Arrived`].

use adapter::{Code, Error, Operation, Params, Wire};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use crate::answer::{Body, json, method_not_allowed, read_body};
use crate::app_state::AppState;
use crate::faults::Fault;

/// Stores an incoming message, as if the other side of the chat had sent it.
pub(crate) async fn receive(state: &AppState, request: Request<Incoming>) -> Response<Body> {
    if request.method() != Method::POST {
        return method_not_allowed("POST");
    }
    let received = match read_body(request.into_body()).await.and_then(|b| read(&b)) {
        Ok(received) => received,
        Err(error) => return refused(&error),
    };
    match state.chats.receive(&received).await {
        Ok(message) => json(StatusCode::CREATED, &message),
        Err(error) => refused(&error),
    }
}

/// Shows or replaces the faults.
pub(crate) async fn faults(state: &AppState, request: Request<Incoming>) -> Response<Body> {
    match *request.method() {
        Method::GET => {}
        Method::PUT => match read_body(request.into_body()).await.map(|b| rules(&b)) {
            Ok(Ok(rules)) => state.faults.replace(rules),
            Ok(Err(text)) => {
                let error = json!({ "error": "INCORRECT_FAULTS", "text": text });
                return json(StatusCode::BAD_REQUEST, &error);
            }
            Err(error) => return refused(&error),
        },
        _ => return method_not_allowed("GET, PUT"),
    }
    json(StatusCode::OK, &state.faults.list())
}

/// Lists the arrivals.
pub(crate) fn sent(state: &AppState, request: &Request<Incoming>) -> Response<Body> {
    if request.method() != Method::GET {
        return method_not_allowed("GET");
    }
    json(StatusCode::OK, &state.arrivals.snapshot())
}

/// Reads an incoming message, which has the same parameters and bounds as an outgoing one. Always reads JSON, because `curl -d`
/// declares any body to be a form.
fn read(body: &Bytes) -> Result<adapter::Request, Error> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut params = Params::read(&Wire {
        query: "",
        headers: &headers,
        body,
    })?;
    let operation =
        Operation::named("sendmessage").ok_or_else(|| Error::refused(Code::InternalError))?;
    adapter::Request::of(operation, &mut params)
}

fn rules(body: &Bytes) -> Result<Vec<Fault>, String> {
    let text = std::str::from_utf8(body).map_err(|_| "The JSON is not UTF-8.".to_owned())?;
    Fault::parse_list(text)
}

fn refused(error: &Error) -> Response<Body> {
    if let Some(cause) = error.cause() {
        tracing::error!(cause, "the sandbox failed");
    }
    let status = StatusCode::from_u16(error.code().status()).unwrap_or(StatusCode::BAD_REQUEST);
    if error.code() == Code::ChannelNotFound {
        return json(status, &json!({ "error": error.word() }));
    }
    json(
        status,
        &json!({ "error": error.word(), "text": error.text() }),
    )
}
