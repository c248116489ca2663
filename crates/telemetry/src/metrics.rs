//! The metrics. No client address, destination or free text becomes a label.

use std::fmt::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::AtomicI64;

use adapter::{Code, Delivery, Operation, Way};
use forward::CacheStatus;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry};

use crate::build_info::{COMMIT, COMMIT_DATE, VERSION};
use crate::histogram::DurationHistogram;
use crate::metric_handles::{ByCall, Requests};
use crate::metric_table::{METRICS, row};
use crate::metrics_format::MetricsFormat;
use crate::parts::note_start;
use crate::scrape::{MetricSample, Scrape};
use crate::tracer::TraceCounts;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct MethodLabel {
    pub(crate) method: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReasonLabel {
    pub(crate) reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ResultLabel {
    pub(crate) result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct DeliveryLabel {
    pub(crate) delivery: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReloadLabel {
    pub(crate) outcome: &'static str,
}

/// The outcomes of reading the configuration again.
const RELOAD_APPLIED: &str = "applied";
const RELOAD_REFUSED: &str = "refused";

/// The metrics that the requests of one gateway update. The state of the gateway's parts is collected at each scrape instead.
pub struct Metrics {
    registry: Registry,
    /// Answered requests.
    pub requests: Requests,
    pub(crate) request_durations: ByCall<DurationHistogram>,
    pub(crate) upstream_durations: ByCall<DurationHistogram>,
    upstream_attempts: Family<MethodLabel, Counter>,
    upstream_attempt_counts: ByCall<Counter>,
    cache_results: [OnceLock<Counter>; CacheStatus::WORDS.len()],
    pub(crate) denied: Family<ReasonLabel, Counter>,
    denied_counts: [Counter; Code::ALL.len()],
    /// Requests that a report-only rule would have rejected.
    pub would_deny: Counter,
    pub(crate) cache: Family<ResultLabel, Counter>,
    pub(crate) deliveries: Family<DeliveryLabel, Counter>,
    /// Requests in progress.
    pub inflight: Gauge<i64, AtomicI64>,
    reloads: Family<ReloadLabel, Counter>,
    /// The outcomes of traced calls.
    pub traces: TraceCounts,
}

impl Default for Metrics {
    /// Returns all metrics with the value zero.
    fn default() -> Metrics {
        note_start();
        let mut registry = Registry::default();
        let mut new = MetricNames(&mut registry);
        let requests = Requests::default();
        new.register("chatgate_requests_total", requests.family.clone());
        let refusals = requests.account_refusals.clone();
        new.register("chatgate_upstream_account_refusals_total", refusals);
        let program = [
            ("version", VERSION),
            ("commit", COMMIT),
            ("date", COMMIT_DATE),
        ];
        new.register("chatgate_build_info", Info::new(program.to_vec()));
        let denied: Family<ReasonLabel, Counter> = new.metric("chatgate_denied_total");
        let metrics = Metrics {
            requests,
            request_durations: ByCall::new(),
            upstream_durations: ByCall::new(),
            upstream_attempt_counts: ByCall::new(),
            cache_results: Default::default(),
            upstream_attempts: new.metric("chatgate_upstream_attempts_total"),
            denied_counts: Code::ALL.map(|code| {
                let reason = code.word();
                denied.get_or_create_owned(&ReasonLabel { reason })
            }),
            denied,
            would_deny: new.metric("chatgate_would_deny_total"),
            cache: new.metric("chatgate_cache_requests_total"),
            deliveries: new.metric("chatgate_deliveries_total"),
            inflight: new.metric("chatgate_inflight_requests"),
            reloads: new.metric("chatgate_config_reloads_total"),
            traces: TraceCounts {
                exported: new.metric("chatgate_traces_exported_total"),
                dropped: new.metric("chatgate_traces_dropped_total"),
            },
            registry,
        };
        metrics.begin();
        metrics
    }
}

impl Metrics {
    /// Returns the histogram of the durations of requests with this way in and operation, in seconds.
    pub fn request_duration(
        &self,
        way: Option<Way>,
        operation: Option<&Operation>,
    ) -> &DurationHistogram {
        self.request_durations
            .of(way, operation, DurationHistogram::default)
    }

    /// Returns the histogram of the upstream's durations for an operation, in seconds.
    pub fn upstream_duration(&self, operation: Option<&Operation>) -> &DurationHistogram {
        self.upstream_durations
            .of(None, operation, DurationHistogram::default)
    }

    /// Returns the number of answers with this cache status.
    pub fn cache_result(&self, cache: CacheStatus) -> &Counter {
        self.cache_results[cache.number()].get_or_init(|| {
            let result = cache.word();
            self.cache.get_or_create_owned(&ResultLabel { result })
        })
    }

    /// Returns the number of calls to the upstream for an operation.
    pub fn upstream_attempts(&self, operation: Option<&Operation>) -> &Counter {
        self.upstream_attempt_counts.of(None, operation, || {
            let method = method_of(operation);
            self.upstream_attempts
                .get_or_create_owned(&MethodLabel { method })
        })
    }

    /// Counts a request that the gateway itself rejected.
    pub fn count_denied(&self, code: Code) {
        self.denied_counts[code as usize].inc();
    }

    /// Counts the delivery word of an answer to a send.
    pub fn count_delivery(&self, delivery: &'static str) {
        let labels = DeliveryLabel { delivery };
        self.deliveries.get_or_create(&labels).inc();
    }

    /// Counts a reload of the configuration.
    pub fn count_reload(&self, is_applied: bool) {
        let outcome = if is_applied {
            RELOAD_APPLIED
        } else {
            RELOAD_REFUSED
        };
        self.reloads.get_or_create(&ReloadLabel { outcome }).inc();
    }

    /// Creates the series that alerts use, because the first count of a new series is not an increase.
    fn begin(&self) {
        for delivery in Delivery::ALL.map(Delivery::word) {
            drop(self.deliveries.get_or_create(&DeliveryLabel { delivery }));
        }
        for outcome in [RELOAD_APPLIED, RELOAD_REFUSED] {
            drop(self.reloads.get_or_create(&ReloadLabel { outcome }));
        }
    }

    /// Appends the histograms of durations.
    fn write_durations(&self, text: &mut String, format: MetricsFormat) {
        let name = "chatgate_request_duration_seconds";
        describe(text, name);
        for (way, method, durations) in self.request_durations.all() {
            let labels = format!("way=\"{way}\",method=\"{method}\"");
            durations.write(text, name, &labels, format);
        }
        let name = "chatgate_upstream_duration_seconds";
        describe(text, name);
        for (_, method, durations) in self.upstream_durations.all() {
            let labels = format!("method=\"{method}\"");
            durations.write(text, name, &labels, format);
        }
    }

    /// Returns the text of a scrape: the metrics of requests and the state of the gateway's parts, grouped by name.
    #[must_use]
    pub fn render(&self, parts: Vec<MetricSample>, format: MetricsFormat) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Scrape(parts)));
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode_registry(&mut text, &self.registry);
        self.write_durations(&mut text, format);
        let _ = encode_registry(&mut text, &registry);
        match format {
            MetricsFormat::Prometheus => prometheus_text(&text),
            MetricsFormat::OpenMetrics => {
                let _ = encode_eof(&mut text);
                text
            }
        }
    }
}

/// Writes the head of a family in the same form as the registry.
fn describe(text: &mut String, name: &str) {
    if let Some(row) = row(name) {
        let _ = writeln!(text, "# HELP {name} {}.\n# TYPE {name} histogram", row.help);
    }
}

fn method_of(operation: Option<&Operation>) -> &'static str {
    operation.map_or("none", |operation| operation.method)
}

/// Converts OpenMetrics to Prometheus's older format, in which a counter is described by its full name and an info is a gauge.
fn prometheus_text(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        let described = ["# HELP ", "# TYPE "].into_iter().find_map(|head| {
            let (name, rest) = line.strip_prefix(head)?.split_once(' ')?;
            let row = METRICS.iter().find(|row| row.base() == name)?;
            let rest = if rest == "info" { "gauge" } else { rest };
            Some((head, row.name, rest))
        });
        let _ = match described {
            Some((head, name, rest)) => writeln!(text, "{head}{name} {rest}"),
            None => writeln!(text, "{line}"),
        };
    }
    text
}

/// Creates metrics from their rows in the table.
struct MetricNames<'a>(&'a mut Registry);

impl MetricNames<'_> {
    fn register<M: Metric>(&mut self, name: &str, metric: M) {
        if let Some(row) = row(name) {
            self.0.register(row.base(), row.help, metric);
        }
    }

    fn metric<M: Metric + Clone + Default>(&mut self, name: &str) -> M {
        let metric = M::default();
        self.register(name, metric.clone());
        metric
    }
}
