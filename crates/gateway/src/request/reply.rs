//! Turns an adapter's reply into an HTTP response: writes the record, and adds the headers that all ways in share.

mod body;

use std::cell::RefCell;

use adapter::{Answer, Code, Effect, Error, Reply, Response as Success, json_reply};
use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use docs::Page;
use forward::{CacheStatus, DAY_S, HeldAnswer};
use telemetry::text;

use crate::request::progress::RequestProgress;
use crate::request::record::AccessRecord;
use crate::request::request_id::REQUEST_ID;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// The header that turns off nginx's buffering.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Number of headers that a usual answer has. The server adds length and date without using these slots.
const HEADERS: usize = 7;

/// Maximum number of header slots of a request that its answer reuses. Most requests have fewer lines.
const HEADERS_TAKEN_OVER_MAX: usize = 24;

const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// Size of the text of one limit or one status in bytes, except for very large numbers. The text is copied into the header value. A
/// value made from the string itself would hold two allocations, because the string has spare capacity.
const LIMIT_BYTES: usize = 32;

/// The headers that a browser's script may send and read in addition to the simple headers.
const CORS_REQUEST_HEADERS: &str = "authorization, cache-control, content-type, idempotency-key, last-event-id, soapaction, x-request-id";
const CORS_RESPONSE_HEADERS: &str =
    "x-request-id, ratelimit, ratelimit-policy, retry-after, cache-status, idempotent-replayed";

/// Writes the record and builds the response. `held` is released once the body is taken.
pub(crate) fn respond(
    record: &mut AccessRecord,
    reply: Reply,
    answer: &Answer<'_>,
    held: Option<HeldAnswer>,
) -> Response {
    record.write(reply.status, answer);
    let error = answer.outcome.err();
    let mut headers = reused_header_map(record);
    headers.insert(header::CONTENT_TYPE, content_type(reply.content_type));
    for challenge in reply.challenges {
        headers.append(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static(challenge),
        );
    }
    if let Some(error) = error {
        if error.code() == Code::HttpMethodNotAllowed {
            let allow = HeaderValue::from_static(record.context.path.allow);
            headers.insert(header::ALLOW, allow);
        }
        if let Some(seconds) = error.retry_after_s() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
    if record.progress.send.is_replay() {
        headers.insert(IDEMPOTENT_REPLAYED, HeaderValue::from_static("true"));
    }
    limit_headers(&record.progress, &mut headers);
    cache_headers(record, error.is_none(), &mut headers);
    shared_headers(record, &mut headers);
    let (body, bytes) = body::body(reply.body, reply.rest, held);
    if let Some(bytes) = bytes {
        headers.insert(header::CONTENT_LENGTH, bytes.into());
    }
    response(reply.status, headers, body)
}

/// Answers a request that is not a call with an error.
pub(crate) fn refuse(record: &mut AccessRecord, error: &Error) -> Response {
    let id = record.context.id.clone();
    let answer = Answer {
        request_id: id.shown(),
        operation: None,
        outcome: Err(error),
    };
    let reply = json_reply(&answer, error.code().status(), &[]);
    respond(record, reply, &answer, None)
}

/// Returns an empty header map that reuses the request's slots, which are no longer needed. hyper reuses the slots of the answer
/// for the next request. A connection therefore allocates none, which saves 200 instructions per request.
fn reused_header_map(record: &mut AccessRecord) -> HeaderMap {
    let mut headers = std::mem::take(&mut record.context.head.headers);
    if !(HEADERS..=HEADERS_TAKEN_OVER_MAX).contains(&headers.capacity()) {
        return HeaderMap::with_capacity(HEADERS);
    }
    headers.clear();
    headers
}

/// Returns the value of the content type. Building a value checks its text byte by byte, so the most frequent value is a constant.
fn content_type(of: &'static str) -> HeaderValue {
    const OF_JSON: &str = "application/json; charset=utf-8";
    const JSON: HeaderValue = HeaderValue::from_static(OF_JSON);
    if of == OF_JSON {
        JSON
    } else {
        HeaderValue::from_static(of)
    }
}

/// Answers OPTIONS with the methods of the path, and with the CORS headers for a browser's script.
pub(crate) fn options(record: &mut AccessRecord) -> Response {
    record.write_success(204);
    let mut headers = HeaderMap::with_capacity(HEADERS);
    let allow = HeaderValue::from_static(record.context.path.allow);
    headers.insert(header::ALLOW, allow.clone());
    if record.context.cors_origin.is_some() {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, allow);
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static(CORS_REQUEST_HEADERS),
        );
    }
    shared_headers(record, &mut headers);
    response(204, headers, Body::empty())
}

/// Answers with a stream of events, which no intermediary may store, change, compress or buffer.
pub(crate) fn stream(record: &mut AccessRecord, body: Body) -> Response {
    let success = Success::empty();
    let id = record.context.id.clone();
    let answer = Answer {
        request_id: id.shown(),
        operation: record.progress.operation(),
        outcome: Ok(&success),
    };
    record.write(200, &answer);
    let mut headers = HeaderMap::with_capacity(HEADERS);
    let fixed = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store, no-transform"),
        (ACCEL_BUFFERING, "no"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    limit_headers(&record.progress, &mut headers);
    shared_headers(record, &mut headers);
    response(200, headers, body)
}

/// Answers with a document that is the same for every caller: WSDL, JWKS, metadata, a documentation page. If the URL's query has
/// values, caches must not store the document, because the values may be credentials.
pub(crate) fn document(
    record: &mut AccessRecord,
    content_type: &'static str,
    text: String,
) -> Response {
    record.write_success(200);
    let mut headers = HeaderMap::with_capacity(HEADERS);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    let has_values = |query: &str| query.contains(['=', '&']);
    let keeping = match record.context.head.uri.query().is_some_and(has_values) {
        true => "no-store",
        false => "public, max-age=300",
    };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keeping));
    // The CORS headers of the answer depend on the origin.
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
    shared_headers(record, &mut headers);
    response(200, headers, Body::from(text))
}

/// Answers with a documentation page.
pub(crate) fn page(record: &mut AccessRecord, page: Page) -> Response {
    let headers = [
        (header::CONTENT_SECURITY_POLICY, page.policy),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let mut response = document(record, page.content_type, page.text.into_owned());
    for (name, value) in headers {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

/// Answers after a panic of our code that lost the record. Only the defect is certain.
pub(crate) fn internal_error() -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    let body = r#"{"status":"ERROR","error":"INTERNAL_ERROR","delivery":"unknown"}"#;
    response(500, headers, Body::from(body))
}

fn response(status: u16, mut headers: HeaderMap, body: Body) -> Response {
    // A browser must not guess that text from a caller or the upstream is a page or a script.
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = headers;
    response
}

fn shared_headers(record: &AccessRecord, headers: &mut HeaderMap) {
    // The id was checked or generated here, so it is always a valid header value.
    if let Ok(id) = HeaderValue::from_str(record.context.id.shown()) {
        headers.insert(REQUEST_ID, id);
    }
    if record.progress.closes_connection {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(origin) = &record.context.cors_origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(CORS_RESPONSE_HEADERS),
        );
        headers.insert(header::VARY, HeaderValue::from_static("origin"));
    }
}

/// Adds the headers of draft-ietf-httpapi-ratelimit-headers.
fn limit_headers(progress: &RequestProgress, headers: &mut HeaderMap) {
    let (minute, day) = (progress.minute, progress.day);
    if minute.is_none() && day.is_none() {
        return;
    }
    let mut states = String::with_capacity(LIMIT_BYTES);
    let minute_state = minute.map(|limit| (limit.name, limit.remaining, limit.reset_s));
    let day_state = day.map(|day| ("day", day.remaining, day.reset_s));
    for (name, remaining, reset_s) in minute_state.into_iter().chain(day_state) {
        push_name(&mut states, name);
        text::push_number(&mut states, "\";r=", remaining);
        text::push_number(&mut states, ";t=", reset_s);
    }
    let limits = PolicyLimits {
        minute: minute.map(|limit| (limit.name, limit.per_minute)),
        day: day.map(|day| day.per_day),
    };
    if let (Some(policy), Ok(states)) = (policy(limits), HeaderValue::from_str(&states)) {
        headers.insert(RATE_LIMIT_POLICY, policy);
        headers.insert(RATE_LIMIT, states);
    }
}

/// The limits that a policy header names.
#[derive(Clone, Copy, PartialEq, Eq)]
struct PolicyLimits {
    minute: Option<(&'static str, u32)>,
    day: Option<u32>,
}

thread_local! {
    /// The last policy header of this thread. Most callers have the same limits.
    static POLICY: RefCell<Option<(PolicyLimits, HeaderValue)>> = const { RefCell::new(None) };
}

fn policy(limits: PolicyLimits) -> Option<HeaderValue> {
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
        let policy = HeaderValue::from_str(&policies).ok()?;
        *last = Some((limits, policy.clone()));
        Some(policy)
    })
}

fn push_name(header: &mut String, name: &str) {
    header.push_str(if header.is_empty() { "\"" } else { ", \"" });
    header.push_str(name);
}

/// Adds the headers of RFC 9211, and those that control the caller's own caches.
fn cache_headers(record: &AccessRecord, succeeded: bool, headers: &mut HeaderMap) {
    let progress = &record.progress;
    if let Some(cache) = progress.cache {
        let status = match cache {
            CacheStatus::Hit(ttl) => {
                let mut status = String::with_capacity(LIMIT_BYTES);
                text::push_number(&mut status, "chatgate; hit; ttl=", ttl);
                HeaderValue::from_str(&status).ok()
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
    let is_read = progress
        .operation()
        .is_some_and(|operation| operation.effect == Effect::Read);
    let fresh_s = progress.cache.and_then(CacheStatus::fresh_s);
    let control = match fresh_s {
        Some(seconds) if succeeded && is_read && record.context.head.uri.query().is_none() => {
            let mut control = String::with_capacity(LIMIT_BYTES);
            text::push_number(&mut control, "private, max-age=", seconds);
            HeaderValue::from_str(&control).ok()
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
