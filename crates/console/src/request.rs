//! What requests of the admin API carry, and the tag that its answers carry.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;
use store::{Access, ChangeError};

use crate::problem::{Problem, json_answer};

/// Largest body of the admin API, in bytes: an export of some thousand accesses.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The version that the caller has seen, where they say so.
pub(crate) fn if_match(headers: &HeaderMap) -> Result<Option<i64>, Problem> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default();
    if text == "*" {
        return Ok(None);
    }
    let version = text
        .strip_prefix("\"v")
        .and_then(|rest| rest.strip_suffix('"'))
        .and_then(|v| v.parse().ok());
    // A tag that is none of ours matches nothing.
    version.map(Some).ok_or_else(|| ChangeError::Stale.into())
}

pub(crate) fn tagged(status: StatusCode, access: &Access, body: &Value) -> Response {
    let mut response = json_answer(status, body);
    if let Ok(tag) = HeaderValue::try_from(format!("\"v{}\"", access.version)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

pub(crate) async fn body<T: DeserializeOwned>(request: Request<Body>) -> Result<T, Problem> {
    let bad = |text: String| Problem::new(StatusCode::BAD_REQUEST, "malformed", text);
    let collected = Limited::new(request.into_body(), BODY_BYTES_MAX)
        .collect()
        .await;
    let bytes = collected
        .map_err(|_| {
            bad(format!(
                "The body broke off or is over {BODY_BYTES_MAX} bytes."
            ))
        })?
        .to_bytes();
    let bytes = if bytes.is_empty() { &b"{}"[..] } else { &bytes };
    serde_json::from_slice(bytes)
        .map_err(|error| bad(format!("The body is not what it should be: {error}.")))
}
