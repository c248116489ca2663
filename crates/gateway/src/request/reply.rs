//! From an adapter's reply to an HTTP response: the headers that every way in shares.

mod body;

use std::cell::RefCell;

use adapter::{Code, Effect, Reply};
use axum::body::Body;
use axum::response::Response;
use forward::{CacheStatus, DAY_S};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{HeaderValue as Value, StatusCode};

use crate::request::record::Story;
use crate::request::validate::ALLOW;
use crate::telemetry::text;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Places for headers: as many as an answer has as a rule. The server below us adds length and date without them.
const HEADERS: usize = 7;

const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// What one limit or one status takes as text, in bytes, but for very large numbers. It is copied into the header: a value
/// made of the string itself would hold two pieces of memory, since the string has room left.
const LIMIT_BYTES: usize = 32;

/// What a browser's script may send and read besides the simple headers.
const CORS_REQUEST_HEADERS: &str =
    "authorization, content-type, idempotency-key, soapaction, x-request-id";
const CORS_RESPONSE_HEADERS: &str =
    "x-request-id, ratelimit, ratelimit-policy, retry-after, cache-status, idempotent-replayed";

/// Builds the response; `error` is what the call ended with, if it failed.
pub(crate) fn respond(story: &mut Story, reply: Reply, error: Option<&adapter::Error>) -> Response {
    let mut headers = HeaderMap::with_capacity(HEADERS);
    headers.insert(header::CONTENT_TYPE, content_type(reply.content_type));
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
    let body = body::body((reply.body, reply.rest), story.held.take());
    response(reply.status, headers, body)
}

/// A value made of text is read byte by byte; the one of nearly all answers is made beforehand.
fn content_type(of: &'static str) -> HeaderValue {
    const OF_JSON: &str = "application/json; charset=utf-8";
    const JSON: HeaderValue = HeaderValue::from_static(OF_JSON);
    if of == OF_JSON {
        JSON
    } else {
        HeaderValue::from_static(of)
    }
}

/// The answer to OPTIONS: what is served here, and to a browser that it may.
pub(crate) fn options(story: &mut Story) -> Response {
    story.tell_reply(204, None);
    let mut headers = HeaderMap::with_capacity(HEADERS);
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
    let mut headers = HeaderMap::with_capacity(HEADERS);
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

fn response(status: u16, mut headers: HeaderMap, body: Body) -> Response {
    // What a caller or the upstream wrote is never taken for a page or a script by a browser that guesses.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
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
    let (minute, day) = (story.limit, story.day);
    if minute.is_none() && day.is_none() {
        return;
    }
    let mut states = String::with_capacity(LIMIT_BYTES);
    let minute_state = minute.map(|(name, limit)| (name, limit.remaining, limit.reset_s));
    let day_state = day.map(|day| ("day", day.remaining, day.reset_s));
    for (name, left, reset_s) in minute_state.into_iter().chain(day_state) {
        push_name(&mut states, name);
        text::push_number(&mut states, "\";r=", left);
        text::push_number(&mut states, ";t=", reset_s);
    }
    let limits = Limits {
        minute: minute.map(|(name, limit)| (name, limit.per_minute)),
        day: day.map(|day| day.per_day),
    };
    if let (Some(policy), Ok(states)) = (policy(limits), Value::from_str(&states)) {
        headers.insert(RATE_LIMIT_POLICY, policy);
        headers.insert(RATE_LIMIT, states);
    }
}

/// The limits that a policy tells of.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Limits {
    minute: Option<(&'static str, u32)>,
    day: Option<u32>,
}

thread_local! {
    /// The last policy that was told: most callers have the same limits.
    static POLICY: RefCell<Option<(Limits, HeaderValue)>> = const { RefCell::new(None) };
}

fn policy(limits: Limits) -> Option<HeaderValue> {
    POLICY.with_borrow_mut(|last| {
        if let Some((of, policy)) = last
            && *of == limits
        {
            return Some(policy.clone());
        }
        let mut policies = String::with_capacity(LIMIT_BYTES);
        let minute = limits.minute.map(|(name, most)| (name, most, 60));
        let day = limits.day.map(|most| ("day", most, DAY_S));
        for (name, most, window_s) in minute.into_iter().chain(day) {
            push_name(&mut policies, name);
            text::push_number(&mut policies, "\";q=", most);
            text::push_number(&mut policies, ";w=", window_s);
        }
        let policy = Value::from_str(&policies).ok()?;
        *last = Some((limits, policy.clone()));
        Some(policy)
    })
}

fn push_name(header: &mut String, name: &str) {
    header.push_str(if header.is_empty() { "\"" } else { ", \"" });
    header.push_str(name);
}

/// RFC 9211, and what the caller's own caches may do.
fn cache_headers(story: &Story, succeeded: bool, headers: &mut HeaderMap) {
    if let Some(cache) = story.cache {
        let status = match cache {
            CacheStatus::Hit(ttl) => {
                let mut status = String::with_capacity(LIMIT_BYTES);
                text::push_number(&mut status, "chatgate; hit; ttl=", ttl);
                Value::from_str(&status).ok()
            }
            CacheStatus::Stored(_) => fixed("chatgate; fwd=uri-miss; stored"),
            CacheStatus::Collapsed(_) => fixed("chatgate; fwd=uri-miss; collapsed"),
            CacheStatus::Miss => fixed("chatgate; fwd=uri-miss"),
            CacheStatus::Refreshed(_) => fixed("chatgate; fwd=request; stored"),
            CacheStatus::Bypass => fixed("chatgate; fwd=bypass"),
            CacheStatus::Effect => fixed("chatgate; fwd=method; detail=effect"),
        };
        if let Some(status) = status {
            headers.insert(CACHE_STATUS, status);
        }
    }
    let is_read = story
        .operation()
        .is_some_and(|operation| operation.effect == Effect::Read);
    let fresh_s = story.cache.and_then(CacheStatus::fresh_s);
    let control = match fresh_s {
        Some(seconds) if succeeded && is_read && !story.has_query => {
            let mut control = String::with_capacity(LIMIT_BYTES);
            text::push_number(&mut control, "private, max-age=", seconds);
            Value::from_str(&control).ok()
        }
        _ => None,
    };
    headers.insert(
        header::CACHE_CONTROL,
        control.unwrap_or(const { HeaderValue::from_static("no-store") }),
    );
}

fn fixed(value: &'static str) -> Option<HeaderValue> {
    Some(HeaderValue::from_static(value))
}
