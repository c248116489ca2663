//! From an adapter's reply to an HTTP response: the headers that every way in shares.

use adapter::{Code, Effect, Reply};
use axum::body::Body;
use axum::response::Response;
use forward::{CacheStatus, DAY_S};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{HeaderValue as Value, StatusCode};

use crate::edge::ALLOW;
use crate::story::Story;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a browser's script may send and read besides the simple headers.
const CORS_REQUEST_HEADERS: &str =
    "authorization, content-type, idempotency-key, soapaction, x-request-id";
const CORS_RESPONSE_HEADERS: &str =
    "x-request-id, ratelimit, ratelimit-policy, retry-after, cache-status, idempotent-replayed";

/// Builds the response; `error` is what the call ended with, if it failed.
pub(crate) fn respond(story: &Story, reply: Reply, error: Option<&adapter::Error>) -> Response {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static(reply.content_type),
    );
    for challenge in reply.challenges {
        headers.append(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static(challenge),
        );
    }
    if let Some(error) = error {
        if error.code() == Code::HttpMethodNotAllowed {
            headers.insert(header::ALLOW, HeaderValue::from_static(story.allow));
        }
        if let Some(seconds) = error.retry_after_s() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
    if story.replays {
        headers.insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    limit_headers(story, &mut headers);
    cache_headers(story, error.is_none(), &mut headers);
    shared_headers(story, &mut headers);
    response(reply.status, headers, Body::from(reply.body))
}

/// The answer to OPTIONS: what is served here, and to a browser that it may.
pub(crate) fn options(story: &mut Story) -> Response {
    story.tell_reply(204, None);
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::ALLOW, HeaderValue::from_static(ALLOW));
    if story.cors_origin.is_some() {
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static(ALLOW),
        );
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static(CORS_REQUEST_HEADERS),
        );
    }
    shared_headers(story, &mut headers);
    response(204, headers, Body::empty())
}

/// A document that is the same for every caller: WSDL, JWKS, metadata.
pub(crate) fn document(story: &mut Story, content_type: &'static str, text: String) -> Response {
    story.tell_reply(200, None);
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=300"),
    );
    shared_headers(story, &mut headers);
    response(200, headers, Body::from(text))
}

/// The answer when a task of ours has panicked: its story is gone, and all that is certain is the defect.
pub(crate) fn defect() -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    let body = r#"{"status":"ERROR","error":"INTERNAL_ERROR","delivery":"unknown"}"#;
    response(500, headers, Body::from(body))
}

fn response(status: u16, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = headers;
    response
}

fn shared_headers(story: &Story, headers: &mut HeaderMap) {
    // The id has been checked or made by us, so that it is always a header value.
    if let Ok(id) = Value::from_str(&story.request_id) {
        headers.insert(REQUEST_ID, id);
    }
    if story.close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(origin) = &story.cors_origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(CORS_RESPONSE_HEADERS),
        );
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
    }
}

/// draft-ietf-httpapi-ratelimit-headers.
fn limit_headers(story: &Story, headers: &mut HeaderMap) {
    let limit = story.limit.map(|(name, limit)| {
        let policy = format!("\"{name}\";q={};w=60", limit.per_minute);
        let state = format!("\"{name}\";r={};t={}", limit.remaining, limit.reset_s);
        (policy, state)
    });
    let day = story.day.map(|day| {
        let policy = format!("\"day\";q={};w={DAY_S}", day.per_day);
        let state = format!("\"day\";r={};t={}", day.remaining, day.reset_s);
        (policy, state)
    });
    let (policies, states): (Vec<_>, Vec<_>) = limit.into_iter().chain(day).unzip();
    if policies.is_empty() {
        return;
    }
    let (policy, state) = (policies.join(", "), states.join(", "));
    if let (Ok(policy), Ok(state)) = (Value::try_from(policy), Value::try_from(state)) {
        headers.insert(RATE_LIMIT_POLICY, policy);
        headers.insert(RATE_LIMIT, state);
    }
}

/// RFC 9211, and what the caller's own caches may do.
fn cache_headers(story: &Story, succeeded: bool, headers: &mut HeaderMap) {
    if let Some(cache) = story.cache {
        let status = match cache {
            CacheStatus::Hit(ttl) => format!("chatgate; hit; ttl={ttl}"),
            CacheStatus::Stored(_) => "chatgate; fwd=uri-miss; stored".to_owned(),
            CacheStatus::Collapsed(_) => "chatgate; fwd=uri-miss; collapsed".to_owned(),
            CacheStatus::Miss => "chatgate; fwd=uri-miss".to_owned(),
            CacheStatus::Refreshed(_) => "chatgate; fwd=request; stored".to_owned(),
            CacheStatus::Bypass => "chatgate; fwd=bypass".to_owned(),
            CacheStatus::Effect => "chatgate; fwd=method; detail=effect".to_owned(),
        };
        if let Ok(status) = Value::try_from(status) {
            headers.insert(CACHE_STATUS, status);
        }
    }
    let is_read = story
        .operation()
        .is_some_and(|operation| operation.effect == Effect::Read);
    let fresh_s = story.cache.and_then(CacheStatus::fresh_s);
    let control = match fresh_s {
        Some(seconds) if succeeded && is_read && !story.has_query => {
            Value::try_from(format!("private, max-age={seconds}")).ok()
        }
        _ => None,
    };
    headers.insert(
        header::CACHE_CONTROL,
        control.unwrap_or(HeaderValue::from_static("no-store")),
    );
}
