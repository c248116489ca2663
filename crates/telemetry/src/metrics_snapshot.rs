//! The snapshot of the metrics for the console.

use std::hash::Hash;

use adapter::{Code, Delivery};
use console::{CountsByWord, MetricsSnapshot};
use forward::CacheStatus;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::histogram::DurationHistogram;
use crate::metric_handles::ByCall;
use crate::metrics::{DeliveryLabel, Metrics, ReasonLabel, ResultLabel};

impl Metrics {
    /// Returns the counts that the console shows.
    #[must_use]
    pub fn snapshot(&self) -> MetricsSnapshot {
        let (served, failed) = self.requests.outcome_totals();
        let latency = |durations: &ByCall<DurationHistogram>| {
            let buckets = durations.all().flat_map(|(.., one)| one.buckets());
            buckets.collect()
        };
        let reasons = Code::ALL.map(Code::word);
        let deliveries = Delivery::ALL.map(Delivery::word);
        MetricsSnapshot {
            served,
            failed,
            denied: by_word(&self.denied, &reasons, |reason| ReasonLabel { reason }),
            deliveries: by_word(&self.deliveries, &deliveries, |delivery| DeliveryLabel {
                delivery,
            }),
            cache: by_word(&self.cache, &CacheStatus::WORDS, |result| ResultLabel {
                result,
            }),
            latency: latency(&self.request_durations),
            upstream_latency: latency(&self.upstream_durations),
            inflight: u64::try_from(self.inflight.get()).unwrap_or_default(),
        }
    }
}

/// Reads the counters of a family that has one label with one of these words.
fn by_word<L: Clone + Eq + Hash>(
    family: &Family<L, Counter>,
    words: &[&'static str],
    label: impl Fn(&'static str) -> L,
) -> CountsByWord {
    let count = |word| Some((word, family.get(&label(word))?.get()));
    let counted = words.iter().copied().filter_map(count);
    counted.filter(|(_, count)| *count > 0).collect()
}
