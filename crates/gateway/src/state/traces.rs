//! Traces under one configuration of them.

use telemetry::Tracer;

use crate::config::TracingConfig;

/// What traces calls, and the configuration by which it was made.
pub(crate) struct ConfiguredTracer {
    pub(crate) config: TracingConfig,
    pub(crate) tracer: Tracer,
}
