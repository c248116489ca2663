//! How far a request has come: what the steps of the pipeline returned so far.

use std::sync::Arc;

use adapter::{Code, Delivery, Dialect, Effect, Error, Operation, Request};
use forward::{CacheStatus, CountedCall, DayState, LimitState, TraceParent, UpstreamTiming};
use shared::CallWait;
use store::Access;
use telemetry::CallStep;

use crate::request::context::RequestContext;
use crate::request::idempotency::SendState;
use crate::request::trace::CallTrace;

/// What most calls' parameters take as logs show them, in bytes.
const PARAMETERS_BYTES: usize = 96;

/// What the steps returned. Each field is set once.
#[derive(Default)]
pub(crate) struct RequestProgress {
    /// The dialect to answer in, once the body is decoded; until then the one that the head announces.
    pub(crate) dialect: Option<Dialect>,
    /// The access, once the caller has authenticated.
    pub(crate) access: Option<Arc<Access>>,
    pub(crate) call: Option<DecodedCall>,
    /// The limit per minute that was counted last: the access's own, else the address's.
    pub(crate) minute: Option<MinuteLimit>,
    /// The access's limit per day.
    pub(crate) day: Option<DayState>,
    /// What the call has waited for counts that replicas share.
    pub(crate) wait: CallWait,
    /// What a rule that only reports would have refused.
    pub(crate) would_refuse: Option<String>,
    pub(crate) send: SendState,
    pub(crate) cache: Option<CacheStatus>,
    /// What the upstream took, if it was asked.
    pub(crate) timing: Option<UpstreamTiming>,
    /// What is noted for the trace, where calls are traced.
    pub(crate) trace: Option<Box<CallTrace>>,
    /// Whether the connection closes after the answer.
    pub(crate) closes: bool,
}

/// A call, once it is decoded.
pub(crate) struct DecodedCall {
    pub(crate) operation: &'static Operation,
    /// The parameters as logs show them, redacted as the operation table says.
    pub(crate) parameters: String,
    /// Whom the call concerns; the journal stores a hash of it.
    pub(crate) destination: Option<String>,
}

/// The state of a limit per minute.
#[derive(Clone, Copy)]
pub(crate) struct MinuteLimit {
    /// `address` or `minute`, as headers and the journal name it.
    pub(crate) name: &'static str,
    pub(crate) state: LimitState,
}

impl DecodedCall {
    /// Redacts the parameters of a request.
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
    /// Takes over the trace that a trusted peer names.
    pub(crate) fn follow_trace(&mut self, context: &mut RequestContext) {
        let headers = &context.head.headers;
        let named = headers.get("traceparent");
        let parent = named.and_then(|text| TraceParent::parse(text.to_str().ok()?));
        context.trace_id = parent.map(|parent| parent.trace_id);
        if let Some((parent, trace)) = parent.zip(self.trace.as_mut()) {
            trace.follow(parent, headers);
        }
    }

    /// Notes that a step begins, where calls are traced.
    pub(crate) fn enter(&mut self, step: CallStep, context: &RequestContext) {
        if let Some(trace) = &mut self.trace {
            trace.enter(step, context.age());
        }
    }

    /// Returns the operation, once it is known.
    pub(crate) fn operation(&self) -> Option<&'static Operation> {
        self.call.as_ref().map(|call| call.operation)
    }

    /// Returns whether the call is known to be a send.
    pub(crate) fn is_send(&self) -> bool {
        self.operation()
            .is_some_and(|operation| operation.effect == Effect::Send)
    }

    /// Takes over what the access's limits say.
    ///
    /// # Errors
    /// The refusal of a limit.
    pub(crate) fn count(&mut self, counted: CountedCall) -> Result<(), Error> {
        if let Some(state) = counted.limit {
            let name = "minute";
            self.minute = Some(MinuteLimit { name, state });
        }
        self.day = counted.day;
        if counted.would_refuse.is_some() {
            self.would_refuse = counted.would_refuse;
        }
        counted.refused.map_or(Ok(()), Err)
    }

    /// Marks an error of ours after a send was dispatched: it leaves open whether the send has left.
    pub(crate) fn with_delivery(&self, error: Error) -> Error {
        if error.code() == Code::InternalError && self.send.is_dispatched() {
            error.with_delivery(self.is_send().then_some(Delivery::Unknown))
        } else {
            error
        }
    }
}
