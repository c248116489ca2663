//! Snapshots of the metrics for the console. Prometheus and the console show the same counters.

use std::collections::BTreeMap;
use std::hash::Hash;

use adapter::{Code, Delivery};
use forward::CacheStatus;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::histogram::DurationHistogram;
use crate::metric_handles::ByCall;
use crate::metrics::{DeliveryLabel, Metrics, ReasonLabel, ResultLabel};

/// Counts by a word of the field, such as a code.
pub type CountsByWord = BTreeMap<&'static str, u64>;

/// Counts since the start of the gateway.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricsSnapshot {
    /// Requests that succeeded.
    pub served: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Requests that the gateway itself rejected, by code.
    pub denied: CountsByWord,
    /// Sends by delivery.
    pub deliveries: CountsByWord,
    /// Answers by the cache's part in them.
    pub cache: CountsByWord,
    /// Durations of requests, over all ways in and methods.
    pub latency: LatencyHistogram,
    /// Durations of the upstream's answers.
    pub upstream_latency: LatencyHistogram,
    /// Requests in progress.
    pub inflight: u64,
}

/// A histogram of durations: upper bounds in seconds, in ascending order, each with the number of durations between it and the
/// bound before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LatencyHistogram(Vec<(f64, u64)>);

/// Merges the buckets of several histograms.
impl FromIterator<(f64, u64)> for LatencyHistogram {
    fn from_iter<I: IntoIterator<Item = (f64, u64)>>(buckets: I) -> LatencyHistogram {
        let mut sums: Vec<(f64, u64)> = Vec::new();
        for (bound, count) in buckets {
            match sums.iter_mut().find(|(known, _)| *known == bound) {
                Some((_, sum)) => *sum += count,
                None => sums.push((bound, count)),
            }
        }
        sums.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        LatencyHistogram(sums)
    }
}

impl LatencyHistogram {
    /// Returns the durations that were added after an earlier snapshot.
    #[must_use]
    pub fn since(&self, before: &LatencyHistogram) -> LatencyHistogram {
        let earlier = |bound| before.0.iter().find(|(known, _)| *known == bound);
        let counts = self.0.iter().map(|(bound, count)| {
            let earlier = earlier(*bound).map_or(0, |(_, count)| *count);
            (*bound, count.saturating_sub(earlier))
        });
        LatencyHistogram(counts.collect())
    }

    /// Returns the quantile in milliseconds, interpolated between bounds: this fraction of all durations does not exceed it.
    /// Returns `None` without durations. A quantile beyond the last finite bound is reported as that bound.
    #[must_use]
    pub fn quantile_ms(&self, part: f64) -> Option<f64> {
        let all: u64 = self.0.iter().map(|(_, count)| count).sum();
        // Subtract a tiny amount, so that nine tenths of a hundred are ninety despite rounding, and not the next number above.
        let wanted = (all > 0).then_some(part * all as f64 - 1e-6)?;
        let (mut from, mut below) = (0.0, 0_u64);
        for (bound, count) in self.0.iter().filter(|(bound, _)| bound.is_finite()) {
            if (below + count) as f64 >= wanted {
                let share = (wanted - below as f64) / (*count).max(1) as f64;
                return Some((from + (bound - from) * share.clamp(0.0, 1.0)) * 1e3);
            }
            (from, below) = (*bound, below + count);
        }
        Some(from * 1e3)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_interpolated_within_their_buckets() {
        let buckets = [(0.001, 20), (0.01, 40), (f64::INFINITY, 10), (0.001, 30)];
        let latency: LatencyHistogram = buckets.into_iter().collect();
        for (part, wanted) in [(0.5, 1.0), (0.9, 10.0), (0.7, 5.5)] {
            let found = latency.quantile_ms(part).unwrap();
            assert!((found - wanted).abs() < 1e-3, "{part}: {found}");
        }
        assert_eq!(
            latency.quantile_ms(0.99),
            Some(10.0),
            "beyond the last bound"
        );
        assert_eq!(latency.since(&latency).quantile_ms(0.5), None);
    }
}
