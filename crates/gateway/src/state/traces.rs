//! The tracer of one configuration.

use telemetry::Tracer;

use crate::config::TracingConfig;

/// A tracer, and the configuration from which it was made.
pub(crate) struct ConfiguredTracer {
    pub(crate) config: TracingConfig,
    pub(crate) tracer: Tracer,
}
