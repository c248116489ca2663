//! What operators see: the log's set-up and the metrics. No client address, destination or free text becomes a label.

use std::sync::atomic::AtomicI64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tracing_subscriber::EnvFilter;

use crate::config::Log;

/// Upper bounds in seconds: answers from memory take microseconds, an upstream up to its time-out of 15 s.
const DURATION_BUCKETS_S: [f64; 12] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0,
];

/// Starts the log on standard output. The second call in one process does nothing.
///
/// # Errors
/// When the level can't be read.
pub(crate) fn start_log(log: &Log) -> Result<(), String> {
    let filter = EnvFilter::try_new(&log.level).map_err(|error| format!("log.level: {error}"))?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stdout);
    // A failure means that a log is already there, which only happens in tests.
    let _ = if log.json {
        lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init()
    } else {
        lines.try_init()
    };
    Ok(())
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    pub(crate) way: &'static str,
    pub(crate) method: &'static str,
    pub(crate) access: String,
    pub(crate) outcome: &'static str,
    pub(crate) code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CallLabels {
    pub(crate) way: &'static str,
    pub(crate) method: &'static str,
}

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

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// All metrics of one gateway.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) requests: Family<RequestLabels, Counter>,
    pub(crate) request_duration: Histograms<CallLabels>,
    pub(crate) upstream_duration: Histograms<MethodLabel>,
    pub(crate) denied: Family<ReasonLabel, Counter>,
    pub(crate) would_deny: Counter,
    pub(crate) cache: Family<ResultLabel, Counter>,
    pub(crate) deliveries: Family<DeliveryLabel, Counter>,
    pub(crate) inflight: Gauge<i64, AtomicI64>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        let histogram: fn() -> Histogram = || Histogram::new(DURATION_BUCKETS_S);
        let mut registry = Registry::with_prefix("chatgate");
        let requests = Family::default();
        registry.register("requests", "Requests answered", requests.clone());
        let request_duration = Histograms::new_with_constructor(histogram);
        let help = "From the head of a request to its answer";
        registry.register_with_unit(
            "request_duration",
            help,
            Unit::Seconds,
            request_duration.clone(),
        );
        let upstream_duration = Histograms::new_with_constructor(histogram);
        let help = "From asking the upstream to its answer";
        registry.register_with_unit(
            "upstream_duration",
            help,
            Unit::Seconds,
            upstream_duration.clone(),
        );
        let denied = Family::default();
        registry.register(
            "denied",
            "Requests refused by the gateway itself",
            denied.clone(),
        );
        let would_deny = Counter::default();
        let help = "Requests that a rule which only reports would have refused";
        registry.register("would_deny", help, would_deny.clone());
        let cache = Family::default();
        registry.register(
            "cache_requests",
            "What the cache had to do with answers",
            cache.clone(),
        );
        let deliveries = Family::default();
        registry.register(
            "deliveries",
            "Delivery words told on sends",
            deliveries.clone(),
        );
        let inflight = Gauge::default();
        registry.register("inflight_requests", "Requests under way", inflight.clone());
        let generation: Gauge = Gauge::default();
        generation.set(1);
        registry.register(
            "config_generation",
            "How many configurations have been in force",
            generation,
        );
        registry.register(
            "build",
            "The program",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        Metrics {
            registry,
            requests,
            request_duration,
            upstream_duration,
            denied,
            would_deny,
            cache,
            deliveries,
            inflight,
        }
    }
}

impl Metrics {
    /// The text that Prometheus scrapes.
    #[must_use]
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a String can't fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}
