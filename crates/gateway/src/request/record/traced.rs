//! Exports the trace of a request that has ended.

use std::time::Duration;

use adapter::Way;
use axum::http::Version;
use forward::CacheStatus;
use telemetry::{LogClass, TracedCall};

use super::outcome::RequestOutcome;
use crate::request::context::RequestContext;
use crate::request::progress::RequestProgress;
use crate::request::trace::CallTrace;

/// Returns whether the call is exported: if it is sampled, a send, or a failed call of an authenticated caller. Failures of other
/// callers do not count, because those callers can fail as often as they like.
pub(super) fn is_exported(trace: &CallTrace, progress: &RequestProgress, is_failed: bool) -> bool {
    let is_known = progress.access.is_some();
    trace.span.is_sampled || progress.is_send() || (is_known && is_failed)
}

/// Queues the call for the receiver of traces.
pub(super) fn export(
    trace: CallTrace,
    context: &RequestContext,
    progress: &RequestProgress,
    outcome: &RequestOutcome<'_>,
) {
    let access = progress.access.as_ref();
    let state = trace.state.as_ref().and_then(|state| state.to_str().ok());
    let (began, began_at) = context.began();
    let call = TracedCall {
        span: trace.span,
        caller_span: trace.caller_span,
        state: state.unwrap_or_default().to_owned(),
        began,
        began_at,
        took: outcome.took,
        steps: trace.steps,
        attempts: trace.attempts,
        queued: progress
            .timing
            .map_or(Duration::ZERO, |timing| timing.queued),
        http_method: known_method(context.http_method()),
        http_version: match context.head.version {
            Version::HTTP_2 => "2",
            Version::HTTP_10 => "1.0",
            _ => "1.1",
        },
        route: context.path.path,
        way: context.path.way.map_or("", Way::name),
        method: progress
            .named_operation()
            .map_or("", |operation| operation.method),
        access: access.map_or_else(String::new, |access| access.name.clone()),
        request_id: context.id.unique().to_owned(),
        status: outcome.wire_status,
        canonical: outcome.canonical,
        code: outcome.refusal,
        delivery: outcome.delivery,
        cache: progress.cache.map_or("", CacheStatus::word),
    };
    let class = LogClass::of(access.is_some());
    trace.traces.tracer.push(class, call);
}

/// Returns the method for spans. Unknown methods are replaced, because callers may write anything.
fn known_method(method: &str) -> &'static str {
    const KNOWN: [&str; 9] = [
        "GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "CONNECT", "TRACE",
    ];
    let known = KNOWN.into_iter().find(|known| *known == method);
    known.unwrap_or("_OTHER")
}
