//! The trace of a call under way. Its spans are made when the call has ended. Until then the start times of its steps are noted,
//! and only if calls are traced.

use std::sync::Arc;
use std::time::Duration;

use adapter::Effect;
use axum::http::{HeaderMap, HeaderValue};
use forward::{AttemptLog, TraceParent};
use telemetry::CallStep;
use uuid::Uuid;

use crate::state::traces::ConfiguredTracer;

/// Maximum length of a `tracestate` that is passed on, in bytes (W3C Trace Context, 3.3.1.5).
const STATE_BYTES_MAX: usize = 512;

/// Initial capacity for steps. A call has fewer steps.
const STEPS: usize = 8;

/// The data that is noted about a call while it is under way.
pub(crate) struct CallTrace {
    pub(super) traces: Arc<ConfiguredTracer>,
    pub(super) span: TraceParent,
    pub(super) caller_span: Option<u64>,
    pub(super) state: Option<HeaderValue>,
    pub(super) steps: Vec<(CallStep, Duration)>,
    pub(super) attempts: Option<Arc<AttemptLog>>,
}

impl CallTrace {
    /// Begins a new trace.
    pub(crate) fn begin(traces: &Arc<ConfiguredTracer>) -> CallTrace {
        let trace_id = Uuid::new_v4().as_u128();
        let mut steps = Vec::with_capacity(STEPS);
        steps.push((CallStep::Admit, Duration::ZERO));
        CallTrace {
            traces: Arc::clone(traces),
            span: TraceParent {
                trace_id,
                // The lower half of a UUID, because the upper half contains the fixed version digit. The lowest bit is set, so that
                // the id is never 0.
                span_id: Uuid::new_v4().as_u128() as u64 | 1,
                is_sampled: traces.tracer.samples(trace_id),
            },
            caller_span: None,
            state: None,
            steps,
            attempts: None,
        }
    }

    /// Continues the trace that a trusted peer names, with the peer's sampling decision.
    pub(crate) fn follow(&mut self, parent: TraceParent, headers: &HeaderMap) {
        self.span.trace_id = parent.trace_id;
        self.span.is_sampled = parent.is_sampled;
        self.caller_span = Some(parent.span_id);
        let state = headers.get("tracestate");
        self.state = state
            .filter(|state| state.len() <= STATE_BYTES_MAX && state.to_str().is_ok())
            .cloned();
    }

    pub(crate) fn trace_id(&self) -> u128 {
        self.span.trace_id
    }

    /// Notes that a step begins.
    pub(crate) fn enter(&mut self, step: CallStep, age: Duration) {
        self.steps.push((step, age));
    }

    /// Returns the log of the call's attempts. The attempts of a send are always traced, whatever the parent's sampling decision.
    pub(crate) fn attempts(&mut self, effect: Effect) -> Arc<AttemptLog> {
        let call = TraceParent {
            is_sampled: self.span.is_sampled || effect == Effect::Send,
            ..self.span
        };
        let passed_on = self.traces.tracer.propagates().then(|| self.state.clone());
        let log = Arc::new(AttemptLog::new(call, passed_on));
        self.attempts = Some(Arc::clone(&log));
        log
    }
}
