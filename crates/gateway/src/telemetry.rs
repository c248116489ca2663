//! What operators see of a running gateway: the log and the metrics.

mod histogram;
mod log;
mod log_buffer;
mod log_line;
mod log_queue;
mod log_writer;
mod metric_handles;
mod metrics;
mod metrics_snapshot;
pub(crate) mod text;

pub use log::finish_log;
pub(crate) use log::{LogLevel, print, start_log};
pub(crate) use log_buffer::{gather_lines, in_class, write_lines};
pub(crate) use log_line::{Name, log_request, name};
pub(crate) use log_queue::LogClass;
pub(crate) use metrics::{DeliveryLabel, Metrics, ReasonLabel, ReloadLabel};
