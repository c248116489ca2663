//! The text formats of the metrics.

/// A text format that Prometheus scrapes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsFormat {
    /// The older format, which every metrics reader understands.
    Prometheus,
    /// OpenMetrics, for clients that accept it.
    OpenMetrics,
}

impl MetricsFormat {
    /// The media type of OpenMetrics, without its parameters.
    pub const OPEN_METRICS: &str = "application/openmetrics-text";

    /// Returns the value of `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            MetricsFormat::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            MetricsFormat::OpenMetrics => {
                "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
        }
    }
}
