//! The record of a request: a log line, the metrics and a journal row. They are written together when the request ends.

mod counting;
mod journal;
mod outcome;
mod traced;

use std::sync::Arc;

use adapter::{Answer, Code, Delivery, Response as Success, Way};
use axum::http::request::Parts;
use forward::{CacheStatus, TraceParent};
use server::Peer;
use store::{CountResult, JournalLevel, JournalRow};
use telemetry::{CallStep, Exemplar, LogClass, name, text};

use crate::client_addr::Walk;
use crate::paths::PublicPath;
use crate::request::context::RequestContext;
use crate::request::progress::RequestProgress;
use crate::request::trace::CallTrace;
use crate::state::snapshot::Snapshot;

pub(crate) use counting::log_counts;
use outcome::RequestOutcome;

/// The facts about a request under way. If the record is dropped before it is written, it is written as CLIENT_GONE.
pub(crate) struct AccessRecord {
    snapshot: Arc<Snapshot>,
    pub(crate) context: RequestContext,
    pub(crate) progress: RequestProgress,
    is_written: bool,
}

impl AccessRecord {
    /// Begins the record with the head of a request.
    pub(crate) fn begin(
        snapshot: &Arc<Snapshot>,
        path: PublicPath,
        peer: Peer,
        head: Parts,
    ) -> AccessRecord {
        snapshot.metrics.inflight.inc();
        let closes_connection = head
            .headers
            .contains_key(axum::http::header::TRANSFER_ENCODING);
        AccessRecord {
            snapshot: Arc::clone(snapshot),
            context: RequestContext::of(path, peer, head),
            progress: RequestProgress {
                // No other request may follow a chunked request on its connection.
                closes_connection,
                trace: snapshot.traces.as_ref().map(CallTrace::begin).map(Box::new),
                ..RequestProgress::default()
            },
            is_written: false,
        }
    }

    /// Notes that a step begins, if calls are traced.
    pub(crate) fn enter(&mut self, step: CallStep) {
        self.progress.enter(step, &self.context);
    }

    /// Returns the row of a send that has not been dispatched yet. If calls are traced, every send is.
    pub(crate) fn open_row(&mut self) -> JournalRow {
        if let Some(trace) = &self.progress.trace {
            self.context.trace_id = Some(trace.trace_id());
        }
        journal::open_row(self.snapshot.generation, &self.context, &self.progress)
    }

    /// Writes the record of a successful request that is not a call.
    pub(crate) fn write_success(&mut self, wire_status: u16) {
        let success = Success::empty();
        let id = self.context.id.clone();
        let answer = Answer {
            request_id: id.shown(),
            operation: None,
            outcome: Ok(&success),
        };
        self.write(wire_status, &answer);
    }

    /// Writes the record with the status on the wire and the outcome of the request.
    pub(crate) fn write(&mut self, wire_status: u16, answer: &Answer<'_>) {
        self.is_written = true;
        let is_refused = answer.outcome.is_err();
        self.limit_refusals(is_refused);
        let mut outcome = RequestOutcome::of(answer, wire_status, self.context.age());
        if self.progress.is_send() {
            outcome.delivery = answer.delivery().map_or("", Delivery::word);
        }
        if is_refused {
            outcome.walk = self.walk();
        }
        self.decide_sampling(is_refused);
        self.count_metrics(&outcome, answer.code());
        let keeps_answer = answer.operation.is_some()
            && self
                .progress
                .access
                .as_ref()
                .is_some_and(|access| access.journal == JournalLevel::Full);
        self.log_and_journal(&outcome, keeps_answer);
    }

    /// Decides whether the call is exported to the receiver of traces. If so, log and journal name its trace.
    fn decide_sampling(&mut self, is_failed: bool) {
        if let Some(trace) = &self.progress.trace {
            if traced::is_exported(trace, &self.progress, is_failed) {
                self.context.trace_id = Some(trace.trace_id());
            } else {
                self.progress.trace = None;
            }
        }
    }

    /// Repeats the walk to the caller's address and describes each step. Does nothing if the peer is not a trusted proxy: then only
    /// the peer was read, and rejections have to be cheap.
    fn walk(&self) -> Option<String> {
        let (trust, peer) = (self.snapshot.trust(), self.context.peer());
        if !trust.trusts(peer) {
            return None;
        }
        Walk::of(peer, &self.context.head.headers, trust).forwarded_steps()
    }

    /// Closes a connection on which no caller authenticates. The connection of a trusted proxy stays open, because it carries calls
    /// of many callers.
    fn limit_refusals(&mut self, is_refused: bool) {
        let context = &self.context;
        if self.progress.access.is_some() {
            context.peer.reset_refusals();
        } else if is_refused
            && !self.snapshot.trust().trusts(context.peer())
            && context.peer.count_refusal()
        {
            if context.is_multiplexed() {
                context.peer.go_away();
            } else {
                self.progress.closes_connection = true;
            }
        }
    }

    /// Writes the log line first, so that the log contains the request of every journal row. A request that is counted together
    /// with others has neither.
    fn log_and_journal(&mut self, outcome: &RequestOutcome<'_>, keeps_answer: bool) {
        let journal = self.snapshot.store.journal();
        let noted = counting::note(journal, &self.context, &self.progress, outcome);
        if let Some(trace) = self.progress.trace.take() {
            traced::export(*trace, &self.context, &self.progress, outcome);
        }
        if matches!(noted, CountResult::Counted) {
            return;
        }
        let user_agent = self.context.user_agent();
        self.log(outcome, &user_agent);
        if !self.snapshot.journals_all && !self.progress.send.is_dispatched() {
            return;
        }
        let mut row = journal::row(
            self.snapshot.generation,
            &self.context,
            &mut self.progress,
            outcome,
        );
        row.user_agent = Some(user_agent.into_owned()).filter(|agent| !agent.is_empty());
        if keeps_answer {
            let success = outcome.result.and_then(Result::ok);
            row.payload.answer = success.map(journal::answer);
        }
        let Some(row) = self.progress.send.settle(row, outcome.result) else {
            return;
        };
        match noted {
            CountResult::First(counted) => journal.begin_count(&counted, row),
            CountResult::Listed | CountResult::Counted => journal.add(row),
        }
    }

    fn count_metrics(&self, outcome: &RequestOutcome<'_>, code: Option<Code>) {
        let (metrics, progress) = (&self.snapshot.metrics, &self.progress);
        let (way, operation) = (self.context.path.way, progress.named_operation());
        let access = progress.access.as_ref().map(|access| &*access.name);
        // The upstream's own error words are free text, so one code stands for all of them.
        metrics.requests.count(way, operation, access, code);
        let exemplar = progress.trace.as_ref().map(|trace| Exemplar {
            trace_id: trace.trace_id(),
            at: self.context.time_at(outcome.took),
        });
        let duration = metrics.request_duration(way, operation);
        duration.observe(outcome.took, exemplar);
        if let Some(timing) = progress.timing {
            let attempts = metrics.upstream_attempts(operation);
            attempts.inc_by(timing.attempts.into());
            let duration = metrics.upstream_duration(operation);
            duration.observe(timing.upstream, exemplar);
        }
        match (progress.cache, code) {
            (Some(cache), _) => {
                metrics.cache_result(cache).inc();
            }
            (None, Some(code)) => {
                metrics.count_denied(code);
            }
            (None, None) => {}
        }
        if progress.would_refuse.is_some() {
            metrics.would_deny.inc();
        }
        // The delivery of an earlier send was counted when that send ended, or will be.
        let is_earlier = progress.send.is_replay()
            || matches!(
                code,
                Some(Code::IdempotencyInProgress | Code::IdempotencyMismatch)
            );
        if !outcome.delivery.is_empty() && !is_earlier {
            metrics.count_delivery(outcome.delivery);
        }
    }

    fn log(&self, outcome: &RequestOutcome<'_>, user_agent: &str) {
        let (context, progress) = (&self.context, &self.progress);
        let access = progress.access.as_ref().map_or("", |access| &access.name);
        // Callers that have not authenticated can call as often as they like, so their lines must not take the room of other lines.
        let class = LogClass::of(progress.access.is_some());
        telemetry::log_request(class, context.time_at(outcome.took), |line| {
            line.word(name!("request_id"), context.id.unique());
            line.word(
                name!("caller_request_id"),
                context.id.callers().unwrap_or(""),
            );
            if let Some(id) = context.trace_id {
                line.word(name!("trace_id"), &TraceParent::trace_id_text(id));
            }
            line.word(name!("way"), context.path.way.map_or("", Way::name));
            line.text(name!("access"), access);
            let call = progress.call.as_ref();
            line.word(
                name!("method"),
                progress
                    .named_operation()
                    .map_or("", |operation| operation.method),
            );
            line.text(
                name!("parameters"),
                call.map_or("", |call| &call.parameters),
            );
            line.quoted(name!("peer"), |line| {
                text::push_socket(line, context.peer().address)
            });
            if let Some(client) = context.client {
                line.quoted(name!("client"), |line| text::push_address(line, client.0));
            }
            line.text(name!("walk"), outcome.walk.as_deref().unwrap_or_default());
            line.word(name!("http_method"), context.http_method());
            line.word(name!("path"), context.path.path);
            line.text(name!("user_agent"), user_agent);
            line.number(name!("status"), outcome.wire_status);
            line.number(name!("canonical_status"), outcome.canonical);
            line.word(name!("code"), outcome.code);
            line.word(name!("delivery"), outcome.delivery);
            line.word(name!("cache"), progress.cache.map_or("", CacheStatus::word));
            if let Some(timing) = progress.timing {
                line.number(name!("attempts"), timing.attempts);
                line.ms(name!("queue_ms"), timing.queued);
                line.ms(name!("upstream_ms"), timing.upstream);
            }
            line.ms(name!("total_ms"), outcome.took);
            line.text(name!("cause"), outcome.cause);
            let would_refuse = progress.would_refuse.as_deref();
            line.text(name!("would_refuse"), would_refuse.unwrap_or_default());
        });
    }
}

impl Drop for AccessRecord {
    fn drop(&mut self) {
        self.snapshot.metrics.inflight.dec();
        if self.is_written {
            return;
        }
        let mut outcome = RequestOutcome::client_gone(self.context.age());
        // A dispatched send may have left, although nobody was answered.
        if self.progress.is_send() && self.progress.send.is_dispatched() {
            outcome.delivery = Delivery::Unknown.word();
            self.snapshot.metrics.count_delivery(outcome.delivery);
        }
        self.decide_sampling(true);
        self.log_and_journal(&outcome, false);
    }
}
