//! The metrics. No client address, destination or free text becomes a label.

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, OnceLock};

use adapter::{Operation, Way};
use forward::{CacheStatus, UpstreamStatus};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};
use store::{Journal, Store};

use crate::histogram::DurationHistogram;
use crate::log;
use crate::log_queue::LogClass;
use crate::metric_handles::{ByCall, Requests};
use crate::replica_gauges::ReplicaGauges;

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

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReloadLabel {
    pub(crate) outcome: &'static str,
}

/// All metrics of one gateway.
pub struct Metrics {
    registry: Registry,
    /// Requests answered.
    pub requests: Requests,
    request_duration: Family<CallLabels, DurationHistogram>,
    pub(crate) request_durations: ByCall<DurationHistogram>,
    upstream_duration: Family<MethodLabel, DurationHistogram>,
    pub(crate) upstream_durations: ByCall<DurationHistogram>,
    upstream_attempts: Family<MethodLabel, Counter>,
    upstream_attempt_counts: ByCall<Counter>,
    cache_results: [OnceLock<Counter>; CacheStatus::WORDS.len()],
    pub(crate) denied: Family<ReasonLabel, Counter>,
    /// Requests that a rule which only reports would have refused.
    pub would_deny: Counter,
    pub(crate) cache: Family<ResultLabel, Counter>,
    pub(crate) deliveries: Family<DeliveryLabel, Counter>,
    /// Requests under way.
    pub inflight: Gauge<i64, AtomicI64>,
    /// How the queue in front of the upstream is.
    pub upstream: UpstreamGauges,
    /// How many configurations have been in force.
    pub generation: Gauge<i64, AtomicI64>,
    reloads: Family<ReloadLabel, Counter>,
}

impl Metrics {
    /// All of them at zero, but for those that the journal counts itself.
    #[must_use]
    pub fn new(journal: &Arc<Journal>) -> Metrics {
        let mut registry = Registry::with_prefix("chatgate");
        let mut new = MetricNames(&mut registry);
        let requests = Requests::default();
        new.register("requests", "Requests answered", requests.family.clone());
        let metrics = Metrics {
            requests,
            request_durations: ByCall::new(),
            upstream_durations: ByCall::new(),
            upstream_attempt_counts: ByCall::new(),
            cache_results: Default::default(),
            request_duration: new.seconds("request_duration", REQUEST_DURATION),
            upstream_duration: new.seconds("upstream_duration", UPSTREAM_DURATION),
            upstream_attempts: new.name("upstream_attempts", "How often the upstream was asked"),
            denied: new.name("denied", "Requests refused by the gateway itself"),
            would_deny: new.name("would_deny", WOULD_DENY),
            cache: new.name("cache_requests", "What the cache had to do with answers"),
            deliveries: new.name("deliveries", "Delivery words in answers to sends"),
            inflight: new.name("inflight_requests", "Requests under way"),
            upstream: UpstreamGauges::new(&mut new),
            generation: new.name("config_generation", GENERATION),
            reloads: new.name("config_reloads", "Configurations that were read again"),
            registry: Registry::default(),
        };
        let program = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The program", program);
        registry.register_collector(Box::new(JournalCounts(Arc::clone(journal))));
        registry.register_collector(Box::new(LogCounts));
        metrics.generation.set(1);
        Metrics {
            registry,
            ..metrics
        }
    }

    /// With what is known of the replicas that share a store.
    #[must_use]
    pub fn with_replicas(mut self, store: &Arc<Store>) -> Metrics {
        let gauges = ReplicaGauges(Arc::clone(store));
        self.registry.register_collector(Box::new(gauges));
        self
    }

    /// How long requests of this kind took, in seconds.
    pub fn request_duration(
        &self,
        way: Option<Way>,
        operation: Option<&Operation>,
    ) -> &DurationHistogram {
        self.request_durations.of(way, operation, || {
            let way = way.map_or("none", Way::name);
            let method = method_of(operation);
            let labels = CallLabels { way, method };
            self.request_duration.get_or_create_owned(&labels)
        })
    }

    /// How long the upstream took for an operation, in seconds.
    pub fn upstream_duration(&self, operation: Option<&Operation>) -> &DurationHistogram {
        self.upstream_durations.of(None, operation, || {
            let method = method_of(operation);
            self.upstream_duration
                .get_or_create_owned(&MethodLabel { method })
        })
    }

    /// How often the cache had this to do with an answer.
    pub fn cache_result(&self, cache: CacheStatus) -> &Counter {
        self.cache_results[cache.number()].get_or_init(|| {
            let result = cache.word();
            self.cache.get_or_create_owned(&ResultLabel { result })
        })
    }

    /// How often the upstream was asked for an operation.
    pub fn upstream_attempts(&self, operation: Option<&Operation>) -> &Counter {
        self.upstream_attempt_counts.of(None, operation, || {
            let method = method_of(operation);
            self.upstream_attempts
                .get_or_create_owned(&MethodLabel { method })
        })
    }

    /// Counts a request that the gateway refused itself.
    pub fn count_denied(&self, reason: &'static str) {
        self.denied.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Counts the delivery word of an answer to a send.
    pub fn count_delivery(&self, delivery: &'static str) {
        let labels = DeliveryLabel { delivery };
        self.deliveries.get_or_create(&labels).inc();
    }

    /// Counts a configuration that was read again.
    pub fn count_reload(&self, outcome: &'static str) {
        self.reloads.get_or_create(&ReloadLabel { outcome }).inc();
    }

    /// Returns the text that Prometheus scrapes.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a String can't fail.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

const REQUEST_DURATION: &str = "From the head of a request to its answer";
const UPSTREAM_DURATION: &str = "From asking the upstream to its answer";
const WOULD_DENY: &str = "Requests that a rule which only reports would have refused";
const GENERATION: &str = "How many configurations have been in force";

fn method_of(operation: Option<&Operation>) -> &'static str {
    operation.map_or("none", |operation| operation.method)
}

/// How the queue in front of the upstream is: set when somebody wants to know.
pub struct UpstreamGauges {
    limit: Gauge<i64, AtomicI64>,
    calls: Gauge<i64, AtomicI64>,
    waiting: Gauge<i64, AtomicI64>,
}

const LIMIT: &str = "Most calls at once, as the upstream takes them now";
const WAITING: &str = "Calls that wait for a place among them";

impl UpstreamGauges {
    fn new(new: &mut MetricNames<'_>) -> UpstreamGauges {
        UpstreamGauges {
            limit: new.name("upstream_limit", LIMIT),
            calls: new.name("upstream_calls", "Calls under way to the upstream"),
            waiting: new.name("upstream_waiting", WAITING),
        }
    }

    /// Sets them to what is so now.
    pub fn set(&self, status: &UpstreamStatus) {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.limit.set(count(status.limit));
        self.calls.set(count(status.under_way));
        self.waiting.set(count(status.waiting));
    }
}

/// What the journal counts itself, asked when somebody wants to know.
struct JournalCounts(Arc<Journal>);

impl Collector for JournalCounts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let queued = ConstGauge::new(i64::try_from(self.0.queued()).unwrap_or(i64::MAX));
        let (name, help) = (
            "journal_queue_entries",
            "Journal rows that are not on disk yet",
        );
        queued.encode(encoder.encode_descriptor(name, help, None, queued.metric_type())?)?;
        let failing = ConstGauge::new(i64::from(self.0.trouble().is_some()));
        let (name, help) = (
            "store_failing",
            "Whether the store can't be written right now",
        );
        failing.encode(encoder.encode_descriptor(name, help, None, failing.metric_type())?)?;
        let failovers = ConstCounter::new(self.0.failovers());
        let (name, help) = (
            "store_failovers",
            "How often another server took the place of the database's",
        );
        failovers.encode(encoder.encode_descriptor(
            name,
            help,
            None,
            failovers.metric_type(),
        )?)?;
        let (name, help) = (
            "journal_dropped",
            "Journal rows for which there was no room",
        );
        by_class(&mut encoder, (name, help), |class| self.0.dropped_of(class))?;
        let (name, help) = (
            "journal_refused",
            "Journal rows that the store does not take, and that were dropped",
        );
        by_class(&mut encoder, (name, help), |class| self.0.refused_of(class))?;
        let (name, help) = (
            "journal_cleared_early",
            "Journal rows that were cleared for their room before journal.retention",
        );
        by_class(&mut encoder, (name, help), |class| {
            self.0.cleared_early(class)
        })
    }
}

/// Encodes a counter that known and unknown callers have apart.
fn by_class(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help): (&str, &str),
    count: impl Fn(store::CallerClass) -> u64,
) -> Result<(), std::fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for class in store::CallerClass::ALL {
        let counter = ConstCounter::new(count(class));
        counter.encode(family.encode_family(&[("class", class.word())])?)?;
    }
    Ok(())
}

impl std::fmt::Debug for JournalCounts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JournalCounts")
    }
}

/// What the log counts itself, asked when somebody wants to know.
#[derive(Debug)]
struct LogCounts;

impl Collector for LogCounts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (name, help) = (
            "log_dropped",
            "Log lines that standard output did not take in time",
        );
        let mut encoder = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for class in LogClass::ALL {
            let dropped = ConstCounter::new(log::dropped_lines(class));
            dropped.encode(encoder.encode_family(&[("class", class.word())])?)?;
        }
        Ok(())
    }
}

/// Makes metrics under their names.
struct MetricNames<'a>(&'a mut Registry);

impl MetricNames<'_> {
    fn register<M: Metric>(&mut self, name: &str, help: &str, metric: M) {
        self.0.register(name, help, metric);
    }

    fn name<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.register(name, help, metric.clone());
        metric
    }

    fn seconds<M: Metric + Clone + Default>(&mut self, name: &str, help: &str) -> M {
        let (metric, unit) = (M::default(), Unit::Seconds);
        self.0.register_with_unit(name, help, unit, metric.clone());
        metric
    }
}
