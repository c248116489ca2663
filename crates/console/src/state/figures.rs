//! The figures of the overview, read from the text of the metrics: what Prometheus is told and what people see is the same.

use std::collections::BTreeMap;

/// CountsByWord by a word.
pub(crate) type CountsByWord = BTreeMap<String, u64>;

/// All counts since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Figures {
    /// Requests that ended well.
    pub(crate) served: u64,
    /// Requests that ended otherwise, by code.
    pub(crate) errors: CountsByWord,
    /// Refused by the gateway itself, by reason.
    pub(crate) denied: CountsByWord,
    /// What sends were told.
    pub(crate) deliveries: CountsByWord,
    /// What the cache had to do with answers.
    pub(crate) cache: CountsByWord,
    /// How many requests took at most so long, by seconds; all ways and methods together.
    pub(crate) latency: LatencyHistogram,
    /// The same for the upstream.
    pub(crate) upstream: LatencyHistogram,
    /// Under way.
    pub(crate) inflight: u64,
}

/// A histogram: upper bounds in seconds, and how many came up to there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LatencyHistogram(Vec<(f64, u64)>);

impl Figures {
    /// Reads the metrics. Lines that it does not know say nothing to it.
    pub(crate) fn read(metrics: &str) -> Figures {
        let mut figures = Figures::default();
        for line in metrics.lines().filter(|line| !line.starts_with('#')) {
            if let Some(sample) = Sample::read(line) {
                figures.take(&sample);
            }
        }
        figures
    }

    fn take(&mut self, sample: &Sample<'_>) {
        let count = sample.value as u64;
        let add = |counts: &mut CountsByWord, label| {
            let word = sample.label(label).unwrap_or_default().to_owned();
            *counts.entry(word).or_default() += count;
        };
        match sample.name {
            "chatgate_requests_total" if sample.label("outcome") == Some("success") => {
                self.served += count;
            }
            "chatgate_requests_total" => add(&mut self.errors, "code"),
            "chatgate_denied_total" => add(&mut self.denied, "reason"),
            "chatgate_deliveries_total" => add(&mut self.deliveries, "delivery"),
            "chatgate_cache_requests_total" => add(&mut self.cache, "result"),
            "chatgate_request_duration_seconds_bucket" => self.latency.add(sample, count),
            "chatgate_upstream_duration_seconds_bucket" => self.upstream.add(sample, count),
            "chatgate_inflight_requests" => self.inflight = count,
            _ => {}
        }
    }

    /// All requests.
    pub(crate) fn requests(&self) -> u64 {
        self.served + self.errors.values().sum::<u64>()
    }
}

impl LatencyHistogram {
    fn add(&mut self, sample: &Sample<'_>, count: u64) {
        let bound = match sample.label("le") {
            Some("+Inf") => f64::INFINITY,
            Some(bound) => bound.parse().unwrap_or(f64::INFINITY),
            None => return,
        };
        match self.0.iter_mut().find(|(known, _)| *known == bound) {
            Some((_, counted)) => *counted += count,
            None => {
                self.0.push((bound, count));
                self.0.sort_by(|(one, _), (other, _)| one.total_cmp(other));
            }
        }
    }

    /// What has come since.
    pub(crate) fn since(&self, before: &LatencyHistogram) -> LatencyHistogram {
        let earlier = |bound| before.0.iter().find(|(known, _)| *known == bound);
        let counts = self.0.iter().map(|(bound, count)| {
            let earlier = earlier(*bound).map_or(0, |(_, count)| *count);
            (*bound, count.saturating_sub(earlier))
        });
        LatencyHistogram(counts.collect())
    }

    /// The time within which this part of all was done, in milliseconds, as far as the bounds tell; absent when there was
    /// nothing. Beyond the last bound it is that bound.
    pub(crate) fn quantile_ms(&self, part: f64) -> Option<f64> {
        let all = self
            .0
            .last()
            .map(|(_, count)| *count)
            .filter(|count| *count > 0)?;
        // A hair less, so that nine tenths of a hundred are ninety and not the next above.
        let wanted = part * all as f64 - 1e-6;
        let (mut from, mut before) = (0.0, 0_u64);
        for (bound, count) in &self.0 {
            if *count as f64 >= wanted {
                if bound.is_infinite() {
                    break;
                }
                let inside = (*count - before).max(1) as f64;
                let share = ((wanted - before as f64) / inside).clamp(0.0, 1.0);
                return Some((from + (bound - from) * share) * 1e3);
            }
            (from, before) = (*bound, *count);
        }
        Some(from * 1e3)
    }
}

/// One line: `name{label="value",…} number`.
struct Sample<'a> {
    name: &'a str,
    labels: &'a str,
    value: f64,
}

impl<'a> Sample<'a> {
    fn read(line: &'a str) -> Option<Sample<'a>> {
        let (head, value) = line.rsplit_once(' ')?;
        let (name, labels) = match head.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}')?),
            None => (head, ""),
        };
        Some(Sample {
            name,
            labels,
            value: value.parse().ok()?,
        })
    }

    /// No label has a quotation mark or comma in its value: they are words of ours and names of accesses.
    fn label(&self, name: &str) -> Option<&'a str> {
        let mut pairs = self
            .labels
            .split(',')
            .filter_map(|pair| pair.split_once('='));
        pairs
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value.trim_matches('"'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = r#"# TYPE chatgate_requests counter
chatgate_requests_total{way="http",method="getchats",access="a",outcome="success",code=""} 3
chatgate_requests_total{way="soap",method="getchats",access="b",outcome="success",code=""} 4
chatgate_requests_total{way="soap",method="none",access="none",outcome="error",code="INCORRECT_USER_PASSWORD"} 2
chatgate_denied_total{reason="INCORRECT_USER_PASSWORD"} 2
chatgate_request_duration_seconds_bucket{le="0.001",way="http",method="getchats"} 50
chatgate_request_duration_seconds_bucket{le="0.01",way="http",method="getchats"} 90
chatgate_request_duration_seconds_bucket{le="+Inf",way="http",method="getchats"} 100
chatgate_inflight_requests 1
# EOF"#;

    #[test]
    fn the_metrics_are_read() {
        let figures = Figures::read(METRICS);
        assert_eq!(
            (figures.served, figures.requests(), figures.inflight),
            (7, 9, 1)
        );
        assert_eq!(figures.denied["INCORRECT_USER_PASSWORD"], 2);
    }

    #[test]
    fn quantiles_lie_within_their_bounds() {
        let latency = Figures::read(METRICS).latency;
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
