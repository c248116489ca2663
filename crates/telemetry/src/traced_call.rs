//! A traced call, and the spans that are created from it after its end. Names follow OpenTelemetry's conventions for HTTP. No span
//! contains a caller's address, a secret, a destination, a parameter or a text.

use std::sync::Arc;
use std::time::{Duration, Instant};

use forward::{AttemptLog, TraceParent, TracedAttempt};

use crate::otlp::{KIND_CLIENT, KIND_INTERNAL, KIND_SERVER, Span};

/// A step of a call. Each step lasts until the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallStep {
    /// Resolves and checks the caller's address.
    Admit,
    /// Reads and decodes the body.
    Decode,
    /// Authenticates the caller and checks its rights.
    Authorize,
    /// Counts the call against the limits of its access.
    Limit,
    /// Writes the intent of a send to disk.
    Journal,
    /// Queries the cache and calls the upstream.
    Forward,
    /// Encodes the answer.
    Encode,
}

impl CallStep {
    fn name(self) -> &'static str {
        match self {
            CallStep::Admit => "admit",
            CallStep::Decode => "decode",
            CallStep::Authorize => "authorize",
            CallStep::Limit => "limit",
            CallStep::Journal => "journal",
            CallStep::Forward => "cache",
            CallStep::Encode => "encode",
        }
    }
}

/// The data of a traced call at its end.
#[derive(Debug)]
pub struct TracedCall {
    /// The call's own span.
    pub span: TraceParent,
    /// The span of the trusted peer that made the call.
    pub caller_span: Option<u64>,
    /// The header `tracestate`, as the peer wrote it.
    pub state: String,
    /// The start of the call, by the monotonic clock.
    pub began: Instant,
    /// The same moment since 1970, UTC.
    pub began_at: Duration,
    /// The time from the head of the request to its answer.
    pub took: Duration,
    /// The steps of the call, each with the time from the start of the call to the start of the step.
    pub steps: Vec<(CallStep, Duration)>,
    /// The attempts at the upstream.
    pub attempts: Option<Arc<AttemptLog>>,
    /// The time that the call waited for a permit before the upstream.
    pub queued: Duration,
    /// The HTTP method; _OTHER for an unknown one.
    pub http_method: &'static str,
    /// The version of HTTP.
    pub http_version: &'static str,
    /// The route of the path.
    pub route: &'static str,
    /// The way in.
    pub way: &'static str,
    /// The operation.
    pub method: &'static str,
    /// The name of the access.
    pub access: String,
    /// The unique id of the request.
    pub request_id: String,
    /// The status on the wire; 0 if no answer was sent.
    pub status: u16,
    /// The canonical status of the outcome.
    pub canonical: u16,
    /// The error code; empty on success.
    pub code: &'static str,
    /// The delivery word of a send.
    pub delivery: &'static str,
    /// The cache status of the call.
    pub cache: &'static str,
}

/// The number that is added to the id of the call's own span for the queue's span. A step's span adds the index of the step plus
/// one.
const QUEUE_SPAN: u64 = 15;

impl TracedCall {
    /// Creates the spans of the call, its own first.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let mut spans = vec![self.own_span()];
        let mut parent = self.span.span_id;
        for (number, (step, begins)) in self.steps.iter().enumerate() {
            // Only reads use the cache. In other calls this step only waits and calls the upstream, and both have their own spans.
            let is_cache = !matches!(self.cache, "" | "effect");
            if *step == CallStep::Forward && !is_cache {
                continue;
            }
            let next = self.steps.get(number + 1);
            let ends = next.map_or(self.took, |(_, begins)| *begins);
            let id = self.id(1 + number as u64);
            let mut span = self.child(self.span.span_id, id, step.name(), KIND_INTERNAL);
            self.lasts(&mut span, *begins, ends);
            if *step == CallStep::Forward {
                parent = id;
                span.word("chatgate.cache", self.cache);
            }
            spans.push(span);
        }
        let attempts = self.attempts.as_ref().map(|log| log.attempts());
        let attempts = attempts.unwrap_or_default();
        spans.extend(self.queue_span(parent, attempts.first()));
        let attempts = attempts.iter().enumerate();
        spans.extend(attempts.map(|(number, attempt)| self.attempt_span(parent, number, attempt)));
        spans
    }

    fn own_span(&self) -> Span {
        let name = match self.route {
            "(unknown)" => self.http_method.to_owned(),
            route => format!("{} {route}", self.http_method),
        };
        let parent = self.caller_span.unwrap_or_default();
        let mut span = self.child(parent, self.span.span_id, &name, KIND_SERVER);
        self.lasts(&mut span, Duration::ZERO, self.took);
        span.trace_state.clone_from(&self.state);
        span.word("http.request.method", self.http_method);
        if self.route != "(unknown)" {
            span.word("http.route", self.route);
        }
        span.word("network.protocol.version", self.http_version);
        if self.status != 0 {
            span.number("http.response.status_code", self.status);
        }
        span.number("chatgate.canonical_status", self.canonical);
        span.word("chatgate.request_id", &*self.request_id);
        span.word("chatgate.way", self.way);
        span.word("chatgate.method", self.method);
        span.word("chatgate.access", &*self.access);
        span.word("chatgate.delivery", self.delivery);
        if !self.code.is_empty() {
            span.fail(self.code);
        }
        span
    }

    /// Returns the span of the time before the first attempt, if the call had to wait.
    fn queue_span(&self, parent: u64, first: Option<&TracedAttempt>) -> Option<Span> {
        let ends = first.map_or(self.took, |first| self.age_at(first.began));
        let mut span = self.child(parent, self.id(QUEUE_SPAN), "queue", KIND_INTERNAL);
        self.lasts(&mut span, ends.saturating_sub(self.queued), ends);
        (!self.queued.is_zero()).then_some(span)
    }

    fn attempt_span(&self, parent: u64, number: usize, attempt: &TracedAttempt) -> Span {
        // All calls to the upstream are POST requests.
        let mut span = self.child(parent, attempt.span_id, "POST", KIND_CLIENT);
        let ended = attempt.ended.map(|ended| self.age_at(ended));
        let ended = ended.unwrap_or(self.took);
        self.lasts(&mut span, self.age_at(attempt.began), ended);
        span.word("http.request.method", "POST");
        span.word("server.address", &*attempt.host);
        span.number("server.port", attempt.port);
        if let Some(status) = attempt.status {
            span.number("http.response.status_code", status);
        }
        if number > 0 {
            let resent = i64::try_from(number).unwrap_or(i64::MAX);
            span.number("http.request.resend_count", resent);
        }
        match (attempt.error, attempt.ended) {
            (Some(code), _) => span.fail(code.word()),
            (None, None) => span.fail("CLIENT_GONE"),
            (None, Some(_)) => {}
        }
        span
    }

    fn child(&self, parent: u64, id: u64, name: &str, kind: i32) -> Span {
        let parent = match parent {
            0 => Vec::new(),
            parent => parent.to_be_bytes().to_vec(),
        };
        Span {
            trace_id: self.span.trace_id.to_be_bytes().to_vec(),
            span_id: id.to_be_bytes().to_vec(),
            parent_span_id: parent,
            name: name.to_owned(),
            kind,
            ..Span::default()
        }
    }

    fn lasts(&self, span: &mut Span, begins: Duration, ends: Duration) {
        let at =
            |age: Duration| u64::try_from((self.began_at + age).as_nanos()).unwrap_or(u64::MAX);
        span.start_time_unix_nano = at(begins);
        span.end_time_unix_nano = at(ends.max(begins));
    }

    fn age_at(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.began)
    }

    fn id(&self, number: u64) -> u64 {
        self.span.span_id.wrapping_add(number)
    }
}
