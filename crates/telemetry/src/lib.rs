//! The log, the metrics and the traces of a running gateway, for operators.
//!
//! A line of the log passes through `log_line` → `log_buffer` → `log_queue` → `log_writer`.

mod build_info;
mod histogram;
mod log;
mod log_buffer;
mod log_line;
mod log_queue;
mod log_table;
mod log_writer;
mod logfmt;
mod metric_handles;
mod metric_table;
mod metrics;
mod metrics_format;
mod metrics_snapshot;
mod otlp;
mod parts;
mod scrape;
pub mod text;
mod traced_call;
mod tracer;

pub use build_info::{VERSION, full_version};
pub use histogram::{DurationHistogram, Exemplar};
pub use log::{LogConfig, LogFormat, LogLevel, check_level, finish_log, print, start_log};
pub use log_buffer::{gather_lines, in_class, write_lines};
pub use log_line::{Name, RequestLine, log_request};
pub use log_queue::LogClass;
pub use log_table::{LOG_FIELDS, LogField, LogFieldKind};
pub use metric_handles::Requests;
pub use metric_table::{METRICS, MetricKind, MetricRow};
pub use metrics::Metrics;
pub use metrics_format::MetricsFormat;
pub use metrics_snapshot::{CountsByWord, LatencyHistogram, MetricsSnapshot};
pub use parts::{log_samples, process_samples, store_samples, upstream_samples};
pub use scrape::MetricSample;
pub use traced_call::{CallStep, TracedCall};
pub use tracer::{SampleRatio, TraceCounts, TraceExport, Tracer};
