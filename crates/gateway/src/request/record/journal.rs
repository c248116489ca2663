//! Builds the journal row of a request.

use std::borrow::Cow;
use std::time::Duration;

use adapter::{Code, Error, Response as Success, Way};
use forward::{CacheStatus, TraceParent};
use store::{JournalPayload, JournalRow};

use super::outcome::RequestOutcome;
use crate::request::context::RequestContext;
use crate::request::progress::RequestProgress;

/// Maximum number of characters of a cause that the journal stores. The upstream writes parts of some causes.
const CAUSE_CHARACTERS_MAX: usize = 512;

/// Maximum size of an answer that the journal stores, in bytes. A few hundred such answers fill the journal's queue.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Builds the row of a send that has not been dispatched yet.
pub(super) fn open_row(
    generation: u64,
    context: &RequestContext,
    progress: &RequestProgress,
) -> JournalRow {
    let call = progress.call.as_ref();
    JournalRow {
        trace_id: context.trace_id.map(TraceParent::trace_id_text),
        user_agent: present(&context.user_agent()).map(str::to_owned),
        payload: JournalPayload {
            destination: call.and_then(|call| call.destination.clone()),
            parameters: call.and_then(|call| present(&call.parameters).map(str::to_owned)),
            answer: None,
        },
        ..begun_row(generation, context, progress, context.age())
    }
}

/// Builds the row of a request that has ended, without the user agent and the answer. Moves values out of `progress` that are not
/// needed afterwards.
pub(super) fn row(
    generation: u64,
    context: &RequestContext,
    progress: &mut RequestProgress,
    outcome: &RequestOutcome<'_>,
) -> JournalRow {
    let begun = begun_row(generation, context, progress, outcome.took);
    let error = outcome.result.and_then(Result::err);
    let upstream_code = error
        .filter(|_| progress.timing.is_some())
        .and_then(upstream_code);
    let cause = present(outcome.cause);
    let cause = cause.map(|cause| cause.chars().take(CAUSE_CHARACTERS_MAX).collect::<String>());
    let call = progress.call.as_mut();
    let (destination, parameters) = call.map_or((None, None), |call| {
        let parameters = std::mem::take(&mut call.parameters);
        (call.destination.take(), Some(parameters))
    });
    JournalRow {
        trace_id: context.trace_id.map(TraceParent::trace_id_text),
        status: Some(outcome.wire_status),
        canonical: Some(outcome.canonical),
        code: present(outcome.code).map(|code| code.to_owned().into()),
        upstream_code: upstream_code.map(|code| code.to_owned().into()),
        delivery: present(outcome.delivery).map(Cow::Borrowed),
        attempts: progress.timing.map(|timing| timing.attempts),
        queue_us: progress.timing.map(|timing| micros(timing.queued)),
        upstream_us: progress.timing.map(|timing| micros(timing.upstream)),
        total_us: Some(micros(outcome.took)),
        cache: progress.cache.map(|cache| CacheStatus::word(cache).into()),
        cause: cause.map(Cow::Owned),
        would_refuse: progress.would_refuse.take(),
        payload: JournalPayload {
            destination,
            parameters: parameters.filter(|parameters| !parameters.is_empty()),
            answer: None,
        },
        ..begun
    }
}

/// Builds the part of a row that is known before the outcome, at the moment when the request had this age.
fn begun_row(
    generation: u64,
    context: &RequestContext,
    progress: &RequestProgress,
    age: Duration,
) -> JournalRow {
    let limit = narrowest_limit(progress);
    JournalRow {
        at_ms: context.ms_at(age),
        request_id: Some(context.id.unique().to_owned()),
        caller_request_id: context.id.callers().map(str::to_owned),
        way: context.path.way.map(|way| Way::name(way).into()),
        access: progress.access.as_ref().map(|access| access.name.clone()),
        method: progress
            .named_operation()
            .map(|operation| operation.method.into()),
        http_method: Some(word_of(context.http_method())),
        path: Some(context.path.path.into()),
        peer: Some(context.peer().address),
        client: context.client.map(|client| client.0),
        limited_by: limit.map(|limit| limit.name.into()),
        limit_max: limit.map(|limit| limit.max),
        limit_left: limit.map(|limit| limit.remaining),
        generation: i64::try_from(generation).ok(),
        ..JournalRow::default()
    }
}

/// A limit that counted the call.
#[derive(Clone, Copy)]
struct CountedLimit {
    name: &'static str,
    max: u32,
    remaining: u32,
}

/// Returns the limit with the fewest remaining calls.
fn narrowest_limit(progress: &RequestProgress) -> Option<CountedLimit> {
    let minute = progress.minute.map(|minute| CountedLimit {
        name: minute.name,
        max: minute.per_minute,
        remaining: minute.remaining,
    });
    let day = progress.day.map(|day| CountedLimit {
        name: "day",
        max: day.per_day,
        remaining: day.remaining,
    });
    minute
        .into_iter()
        .chain(day)
        .min_by_key(|limit| limit.remaining)
}

/// Returns the code of an answer of the upstream, if the error is one. The upstream may use a word of the gateway's own codes.
fn upstream_code(error: &Error) -> Option<&str> {
    let is_listed = Code::from_chat_api(error.word()).is_some();
    (is_listed || error.code() == Code::UpstreamCode).then(|| error.word())
}

/// Returns the text that the journal stores of an answer: the whole answer, or only its size if it would crowd out other rows.
pub(super) fn answer(answer: &Success) -> String {
    match answer.bytes() {
        0..=ANSWER_BYTES_MAX => answer.result().to_owned(),
        bytes => format!("({bytes} bytes)"),
    }
}

/// Returns an HTTP method. Copies the text only if the method is not one of the usual ones.
fn word_of(method: &str) -> Cow<'static, str> {
    const USED: [&str; 4] = ["GET", "POST", "HEAD", "OPTIONS"];
    let used = USED.into_iter().find(|used| *used == method);
    used.map_or_else(|| Cow::Owned(method.to_owned()), Cow::Borrowed)
}

fn present(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
