//! Builds answers and their bodies: the upstream's envelope, JSON of the control paths, plain text.

use std::convert::Infallible;
use std::time::Duration;

use adapter::{Code, CodeOrigin, Error, Reply, Way};
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::Serialize;

/// The body of any answer of the sandbox.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Maximum size of a request body, in bytes. The largest legal call, percent-encoded three times, has a fifth of this size.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// Timeout for a client that sends a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

const JSON: &str = "application/json; charset=utf-8";
const CHALLENGE: &[&str] = &[r#"Basic realm="sandbox", charset="UTF-8""#];

/// Reads a whole body within the size limit and the timeout.
pub(crate) async fn read_body(body: Incoming) -> Result<Bytes, Error> {
    let collected = Limited::new(body, BODY_BYTES_MAX).collect();
    match tokio::time::timeout(BODY_TIMEOUT, collected).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Error::refused(Code::RequestTooLarge))
        }
        Ok(Err(_)) | Err(_) => Err(Error::refused(Code::MalformedRequest)),
    }
}

/// Returns `{"status":"SUCCESS","result":…}` around a result that is JSON text.
pub(crate) fn success(result: &str) -> Reply {
    reply(format!(r#"{{"status":"SUCCESS","result":{result}}}"#))
}

/// Returns the error reply to a call. The chat API's codes have status 200; a code that the chat API lacks has its real status.
pub(crate) fn refusal(way: Way, error: &Error) -> Reply {
    if let Some(cause) = error.cause() {
        tracing::error!(cause, "the sandbox failed");
    }
    let mut refused = refusal_word(way, error.word());
    if error.code().origin() == CodeOrigin::Gateway {
        refused.status = error.code().status();
    }
    refused
}

/// Returns the error reply with any error word. Credential codes on the Basic way have status 401 and the challenge.
pub(crate) fn refusal_word(way: Way, word: &str) -> Reply {
    let word = serde_json::Value::from(word);
    let mut refused = reply(format!(r#"{{"status":"ERROR","error":{word}}}"#));
    let is_credential = word
        .as_str()
        .and_then(Code::from_chat_api)
        .is_some_and(Code::is_credential);
    if way == Way::Basic && is_credential {
        refused.status = 401;
        refused.challenges = CHALLENGE;
    }
    refused
}

/// Returns a reply with status 200 and this JSON text.
pub(crate) fn reply(json: impl Into<Bytes>) -> Reply {
    Reply {
        status: 200,
        content_type: JSON,
        challenges: &[],
        body: json.into(),
        rest: None,
    }
}

/// Converts a reply to an HTTP response.
pub(crate) fn respond(reply: Reply) -> Response<Body> {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = response(status, reply.content_type, whole(reply.body));
    for challenge in reply.challenges {
        response
            .headers_mut()
            .append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

/// Returns a JSON answer of a control path.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(mut text) => {
            text.push(b'\n');
            response(status, JSON, whole(text))
        }
        Err(_) => plain(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The response can't be written as JSON.\n",
        ),
    }
}

/// Returns a line of plain text.
pub(crate) fn plain(status: StatusCode, text: &'static str) -> Response<Body> {
    response(status, "text/plain; charset=utf-8", whole(text))
}

/// Returns the error answer for an HTTP method that is not allowed.
pub(crate) fn method_not_allowed(allow: &'static str) -> Response<Body> {
    let mut response = plain(
        StatusCode::METHOD_NOT_ALLOWED,
        "This HTTP method is not allowed here.\n",
    );
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// Returns a response with any body.
pub(crate) fn response(
    status: StatusCode,
    content_type: &'static str,
    body: Body,
) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Returns a body that is completely in memory.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed_unsync()
}
