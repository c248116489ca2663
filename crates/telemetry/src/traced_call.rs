//! A traced call, and the spans that are made of it once it is over. Names follow OpenTelemetry's conventions for HTTP. No span holds
//! an address of a caller, a secret, a destination, a parameter or a text.

use std::sync::Arc;
use std::time::{Duration, Instant};

use forward::{AttemptLog, TraceParent, TracedAttempt};

use crate::otlp::{KIND_CLIENT, KIND_INTERNAL, KIND_SERVER, Span};

/// A step of a call. Each lasts until the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallStep {
    /// The caller's address is resolved and judged.
    Admit,
    /// The body is read and decoded.
    Decode,
    /// The caller is authenticated, and its rights are judged.
    Authorize,
    /// The call is counted against the limits of its access.
    Limit,
    /// The intent of a send goes to disk.
    Journal,
    /// The cache and the upstream are asked.
    Forward,
    /// The answer is encoded.
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

/// What is known of a traced call when it is over.
#[derive(Debug)]
pub struct TracedCall {
    /// Its own span.
    pub span: TraceParent,
    /// The span of the trusted peer that made it.
    pub caller_span: Option<u64>,
    /// `tracestate`, as the peer wrote it.
    pub state: String,
    /// When it began, by the clock that goes on evenly.
    pub began: Instant,
    /// The same moment since 1970, UTC.
    pub began_at: Duration,
    /// From the head of the request to its answer.
    pub took: Duration,
    /// The steps that it took, each with the age at which it began.
    pub steps: Vec<(CallStep, Duration)>,
    /// Its attempts at the upstream.
    pub attempts: Option<Arc<AttemptLog>>,
    /// How long it waited for a place in front of the upstream.
    pub queued: Duration,
    /// The HTTP method; _OTHER for one that nobody knows.
    pub http_method: &'static str,
    /// The version of HTTP.
    pub http_version: &'static str,
    /// The path as it is routed.
    pub route: &'static str,
    /// The way in.
    pub way: &'static str,
    /// The operation.
    pub method: &'static str,
    /// The name of the access.
    pub access: String,
    /// The id that no other request has.
    pub request_id: String,
    /// The status on the wire; 0 if nobody was answered.
    pub status: u16,
    /// The status that the outcome really has.
    pub canonical: u16,
    /// The code of the failure; empty if there is none.
    pub code: &'static str,
    /// The delivery word of a send.
    pub delivery: &'static str,
    /// What the cache had to do with it.
    pub cache: &'static str,
}

/// The numbers that are added to the id of a call's own span: a step's is its number and one more.
const QUEUE_SPAN: u64 = 15;

impl TracedCall {
    /// Makes its spans, its own first.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let mut spans = vec![self.own_span()];
        let mut parent = self.span.span_id;
        for (number, (step, begins)) in self.steps.iter().enumerate() {
            // Only reads go through the cache. What others do there is to wait and to ask, which have spans of their own.
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

    /// The time before the first attempt, if the call had to wait.
    fn queue_span(&self, parent: u64, first: Option<&TracedAttempt>) -> Option<Span> {
        let ends = first.map_or(self.took, |first| self.age_at(first.began));
        let mut span = self.child(parent, self.id(QUEUE_SPAN), "queue", KIND_INTERNAL);
        self.lasts(&mut span, ends.saturating_sub(self.queued), ends);
        (!self.queued.is_zero()).then_some(span)
    }

    fn attempt_span(&self, parent: u64, number: usize, attempt: &TracedAttempt) -> Span {
        // The upstream is asked by POST alone.
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
