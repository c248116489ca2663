//! A histogram of durations. prometheus-client's own histogram does not expose its buckets, which the console's snapshot needs, and
//! takes a lock in every call to support exemplars.

use std::fmt::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use forward::TraceParent;
use parking_lot::Mutex;

use crate::metrics_format::MetricsFormat;

/// Upper bounds in seconds. Answers from memory take microseconds, and an upstream takes up to its timeout of 15 s.
const BOUNDS_S: [f64; 13] = [
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.5,
    1.0,
    5.0,
    15.0,
    f64::INFINITY,
];

/// A traced call as an example for its bucket, so that a chart of durations links to a trace.
#[derive(Clone, Copy, Debug)]
pub struct Exemplar {
    /// The id of the trace.
    pub trace_id: u128,
    /// The time at which the call ended, since 1970, UTC.
    pub at: Duration,
}

/// The latest exemplar of each bucket, with its duration.
type Exemplars = Mutex<[Option<(Exemplar, Duration)>; BOUNDS_S.len()]>;

/// A histogram of durations.
#[derive(Debug, Default)]
pub struct DurationHistogram {
    /// Number of durations between each bound and the previous one.
    counts: [AtomicU64; BOUNDS_S.len()],
    sum_ns: AtomicU64,
    /// Created by the first traced call.
    exemplars: OnceLock<Box<Exemplars>>,
}

impl DurationHistogram {
    /// Counts one duration, with an exemplar if the call is traced.
    pub fn observe(&self, duration: Duration, exemplar: Option<Exemplar>) {
        let seconds = duration.as_secs_f64();
        let bucket = BOUNDS_S.iter().position(|bound| seconds <= *bound);
        let bucket = bucket.unwrap_or(BOUNDS_S.len() - 1);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.sum_ns.fetch_add(ns, Ordering::Relaxed);
        if let Some(exemplar) = exemplar {
            // The exemplar is skipped if the lock is taken, because the holder of the lock is storing another one or reading them.
            // No call waits for the lock.
            if let Some(mut exemplars) = self.exemplars.get_or_init(Box::default).try_lock() {
                exemplars[bucket] = Some((exemplar, duration));
            }
        }
    }

    /// Returns each upper bound in seconds with the number of durations between it and the previous bound.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let counts = self.counts.iter();
        let counts = counts.map(|count| count.load(Ordering::Relaxed));
        BOUNDS_S.into_iter().zip(counts)
    }

    /// Appends the series of the histogram, with this name and these labels, which need no escapes. Only OpenMetrics has exemplars.
    pub(crate) fn write(&self, text: &mut String, name: &str, labels: &str, format: MetricsFormat) {
        let exemplars = self.exemplars.get();
        let exemplars = exemplars.filter(|_| format == MetricsFormat::OpenMetrics);
        let exemplars = exemplars.map_or_else(Default::default, |exemplars| *exemplars.lock());
        let mut count = 0;
        // Writing into a String cannot fail.
        for ((bound, in_bucket), exemplar) in self.buckets().zip(exemplars) {
            count += in_bucket;
            let _ = match bound {
                f64::INFINITY => write!(text, "{name}_bucket{{le=\"+Inf\",{labels}}} {count}"),
                // OpenMetrics requires `1.0` instead of `1`.
                bound => write!(text, "{name}_bucket{{le=\"{bound:?}\",{labels}}} {count}"),
            };
            if let Some((Exemplar { trace_id, at }, duration)) = exemplar {
                let trace = TraceParent::trace_id_text(trace_id);
                let (value, at) = (duration.as_secs_f64(), at.as_secs_f64());
                let _ = write!(text, " # {{trace_id=\"{trace}\"}} {value:?} {at:.3}");
            }
            text.push('\n');
        }
        let sum = Duration::from_nanos(self.sum_ns.load(Ordering::Relaxed)).as_secs_f64();
        let _ = writeln!(text, "{name}_sum{{{labels}}} {sum:?}");
        let _ = writeln!(text, "{name}_count{{{labels}}} {count}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_has_its_last_traced_call_as_exemplar_in_openmetrics() {
        let histogram = DurationHistogram::default();
        let observe = |ms, trace: Option<u128>| {
            let at = Duration::from_millis(1_790_000_000_123);
            let exemplar = trace.map(|trace_id| Exemplar { trace_id, at });
            histogram.observe(Duration::from_millis(ms), exemplar);
        };
        observe(2, None);
        observe(3, Some(0xa));
        observe(4, Some(0xb));
        observe(5, None);
        observe(60_000, Some(0xc));
        let mut text = String::new();
        histogram.write(&mut text, "t", "way=\"soap\"", MetricsFormat::OpenMetrics);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[3],
            "t_bucket{le=\"0.005\",way=\"soap\"} 4 # {trace_id=\"0000000000000000000000000000000b\"} 0.004 1790000000.123"
        );
        assert_eq!(lines[9], "t_bucket{le=\"1.0\",way=\"soap\"} 4");
        assert_eq!(
            lines[12..],
            [
                "t_bucket{le=\"+Inf\",way=\"soap\"} 5 # {trace_id=\"0000000000000000000000000000000c\"} 60.0 1790000000.123",
                "t_sum{way=\"soap\"} 60.014",
                "t_count{way=\"soap\"} 5",
            ]
        );
        let mut plain = String::new();
        histogram.write(&mut plain, "t", "way=\"soap\"", MetricsFormat::Prometheus);
        assert!(!plain.contains('#') && plain.lines().count() == lines.len());
    }
}
