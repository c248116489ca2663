//! The progress of a request: the results of the pipeline's steps so far.

use std::sync::Arc;

use adapter::{Code, Delivery, Dialect, Effect, Error, Operation, Request};
use forward::{CacheStatus, CountedCall, DayState, LimitState, TraceParent, UpstreamTiming};
use shared::CallWait;
use store::Access;
use telemetry::CallStep;

use crate::request::context::RequestContext;
use crate::request::idempotency::SendState;
use crate::request::trace::CallTrace;

/// Size of the logged parameters of most calls, in bytes.
const PARAMETERS_BYTES: usize = 96;

/// The results of the steps. Each field is set once.
#[derive(Default)]
pub(crate) struct RequestProgress {
    /// The dialect of the answer, set when the body is decoded. Until then the head decides it.
    pub(crate) dialect: Option<Dialect>,
    /// The access, set when the caller has authenticated.
    pub(crate) access: Option<Arc<Access>>,
    pub(crate) call: Option<DecodedCall>,
    /// The operation that a call with a mistake named.
    pub(crate) rejected_operation: Option<&'static Operation>,
    /// The limit per minute that was counted last: a limit of the access, or else that of the address.
    pub(crate) minute: Option<LimitState>,
    /// The limit per day of the access.
    pub(crate) day: Option<DayState>,
    /// The time that the call has waited for counts that replicas share.
    pub(crate) wait: CallWait,
    /// The error with which the first rule that only reports would have rejected the call.
    pub(crate) would_refuse: Option<String>,
    pub(crate) send: SendState,
    pub(crate) cache: Option<CacheStatus>,
    /// The time that the upstream took, if it was called.
    pub(crate) timing: Option<UpstreamTiming>,
    /// The trace of the call, if calls are traced.
    pub(crate) trace: Option<Box<CallTrace>>,
    /// True if the connection closes after the answer.
    pub(crate) closes_connection: bool,
}

/// A call, once it is decoded.
pub(crate) struct DecodedCall {
    pub(crate) operation: &'static Operation,
    /// The parameters for logs, redacted as the operation table requires.
    pub(crate) parameters: String,
    /// The recipient that the call concerns. The journal stores a hash of it.
    pub(crate) destination: Option<String>,
}

impl DecodedCall {
    /// Takes a request and redacts its parameters.
    pub(crate) fn of(request: &Request) -> DecodedCall {
        let mut parameters = String::with_capacity(PARAMETERS_BYTES);
        for (parameter, value) in request.pairs() {
            if !parameters.is_empty() {
                parameters.push(' ');
            }
            parameters.push_str(parameter.name);
            parameters.push('=');
            Request::redact(parameter, value, &mut parameters);
        }
        DecodedCall {
            operation: request.operation(),
            parameters,
            destination: request.value("destination").map(str::to_owned),
        }
    }
}

impl RequestProgress {
    /// Continues the trace that a trusted peer names.
    pub(crate) fn follow_trace(&mut self, context: &mut RequestContext) {
        let headers = &context.head.headers;
        let named = headers.get("traceparent");
        let parent = named.and_then(|text| TraceParent::parse(text.to_str().ok()?));
        context.trace_id = parent.map(|parent| parent.trace_id);
        if let Some((parent, trace)) = parent.zip(self.trace.as_mut()) {
            trace.follow(parent, headers);
        }
    }

    /// Notes that a step begins, if calls are traced.
    pub(crate) fn enter(&mut self, step: CallStep, context: &RequestContext) {
        if let Some(trace) = &mut self.trace {
            trace.enter(step, context.age());
        }
    }

    /// Returns the operation, once it is known.
    pub(crate) fn operation(&self) -> Option<&'static Operation> {
        self.call.as_ref().map(|call| call.operation)
    }

    /// Returns the operation of the call, or the one that a call with a mistake named: for log, journal and metrics.
    pub(crate) fn named_operation(&self) -> Option<&'static Operation> {
        self.operation().or(self.rejected_operation)
    }

    /// Returns whether the call is known to be a send, even one with a mistake.
    pub(crate) fn is_send(&self) -> bool {
        self.named_operation()
            .is_some_and(|operation| operation.effect == Effect::Send)
    }

    /// Stores the results of the access's limits.
    ///
    /// # Errors
    /// The error of a limit that rejects the call.
    pub(crate) fn apply_limits(&mut self, counted: CountedCall) -> Result<(), Error> {
        self.minute = counted.limit.or(self.minute);
        self.day = counted.day;
        self.would_refuse = self.would_refuse.take().or(counted.would_refuse);
        counted.refused.map_or(Ok(()), Err)
    }

    /// Marks an error of our code after a send was dispatched as `unknown` delivery, because the send may have left.
    pub(crate) fn with_delivery(&self, error: Error) -> Error {
        if error.code() == Code::InternalError && self.send.is_dispatched() {
            error.with_delivery(self.is_send().then_some(Delivery::Unknown))
        } else {
            error
        }
    }
}
