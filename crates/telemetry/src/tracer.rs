//! Decides which calls are traced, and queues traced calls for the receiver. A call never waits for the queue; if the queue is
//! full, the trace is dropped and counted.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use crate::log_queue::LogClass;
use crate::otlp::encode;
use crate::traced_call::TracedCall;

/// Maximum number of traced calls in the queue: two to four megabytes.
const WAITING_MAX: usize = 4096;

/// Number of queue entries that are reserved for authenticated callers.
const RESERVED_FOR_KNOWN: usize = WAITING_MAX / 4 * 3;

/// Maximum number of calls in one request to the receiver.
const BATCH_MAX: usize = 256;

/// Maximum time that a call waits for others to fill a batch.
const GATHER: Duration = Duration::from_secs(1);

/// Number of random bits in a trace's id (W3C Trace Context, level 2). All services that sample with the same ratio select the same
/// traces.
const RANDOM_BITS: u32 = 56;

/// The fraction of calls that is traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleRatio {
    /// Number of sampled traces among 2^56.
    traces: u64,
}

impl SampleRatio {
    /// Parses a number from 0 to 1.
    ///
    /// # Errors
    /// A sentence, if the text is not such a number.
    pub fn parse(text: &str) -> Result<SampleRatio, String> {
        let ratio: f64 = text
            .parse()
            .map_err(|_| format!("{text} is not a number"))?;
        if !(0.0..=1.0).contains(&ratio) {
            return Err(format!("{text} is not between 0 and 1"));
        }
        let traces = (ratio * (1_u64 << RANDOM_BITS) as f64) as u64;
        Ok(SampleRatio { traces })
    }

    /// Returns whether a trace with this id is sampled.
    #[must_use]
    pub fn samples(self, trace_id: u128) -> bool {
        let random = (trace_id & ((1 << RANDOM_BITS) - 1)) as u64;
        random >= (1 << RANDOM_BITS) - self.traces
    }
}

/// The outcomes of traced calls.
#[derive(Clone, Debug, Default)]
pub struct TraceCounts {
    /// Number of calls that the receiver accepted.
    pub(crate) exported: Counter,
    /// Number of calls that the receiver did not accept or that found the queue full.
    pub(crate) dropped: Counter,
}

enum TracerMessage {
    Call(Box<TracedCall>),
    /// A caller waits until all earlier entries have been sent.
    Flush(oneshot::Sender<()>),
}

/// The sending end of the trace queue.
pub struct Tracer {
    ratio: SampleRatio,
    propagates: bool,
    queue: mpsc::Sender<TracerMessage>,
    counts: TraceCounts,
}

/// The exporter, which sends the queued calls to the receiver.
pub struct TraceExport {
    service: String,
    queue: mpsc::Receiver<TracerMessage>,
    counts: TraceCounts,
}

impl Tracer {
    /// Creates both ends of a queue. `propagates` decides whether trace headers are sent to the upstream.
    #[must_use]
    pub fn new(
        service: String,
        ratio: SampleRatio,
        propagates: bool,
        counts: TraceCounts,
    ) -> (Tracer, TraceExport) {
        let (sender, queue) = mpsc::channel(WAITING_MAX);
        let export = TraceExport {
            service,
            queue,
            counts: counts.clone(),
        };
        let tracer = Tracer {
            ratio,
            propagates,
            queue: sender,
            counts,
        };
        (tracer, export)
    }

    /// Returns whether a trace with this id that begins here is sampled.
    #[must_use]
    pub fn samples(&self, trace_id: u128) -> bool {
        self.ratio.samples(trace_id)
    }

    /// Returns whether trace headers are sent to the upstream.
    #[must_use]
    pub fn propagates(&self) -> bool {
        self.propagates
    }

    /// Queues a finished call.
    pub fn push(&self, class: LogClass, call: TracedCall) {
        let has_place = class == LogClass::Known || self.queue.capacity() > RESERVED_FOR_KNOWN;
        if !has_place
            || self
                .queue
                .try_send(TracerMessage::Call(Box::new(call)))
                .is_err()
        {
            self.counts.dropped.inc();
        }
    }

    /// Waits until all queued calls have been sent to the receiver, at most for this time.
    pub async fn flush(&self, longest: Duration) {
        let flushed = async {
            let (reply, done) = oneshot::channel();
            if self.queue.send(TracerMessage::Flush(reply)).await.is_ok() {
                let _ = done.await;
            }
        };
        let _ = timeout(longest, flushed).await;
    }
}

impl TraceExport {
    /// Passes requests to `post` until the tracer is dropped. `post` returns whether the receiver has accepted the request.
    pub async fn run<F: Future<Output = bool>>(mut self, post: impl Fn(Vec<u8>) -> F) {
        while let Some((calls, waiting)) = self.next().await {
            if !calls.is_empty() {
                let spans = calls.iter().flat_map(|call| call.spans()).collect();
                let is_taken = post(encode(&self.service, spans)).await;
                let count = if is_taken {
                    &self.counts.exported
                } else {
                    &self.counts.dropped
                };
                count.inc_by(calls.len() as u64);
            }
            let _ = waiting.map(|reply| reply.send(()));
        }
    }

    /// Collects calls until the batch is full, its time is over, or a caller waits for a flush. Returns `None` if no more calls can
    /// come.
    async fn next(&mut self) -> Option<(Vec<Box<TracedCall>>, Option<oneshot::Sender<()>>)> {
        let mut calls = Vec::new();
        let mut queued = Some(self.queue.recv().await?);
        let until = Instant::now() + GATHER;
        while let Some(next) = queued {
            match next {
                TracerMessage::Flush(reply) => return Some((calls, Some(reply))),
                TracerMessage::Call(call) => calls.push(call),
            }
            if calls.len() >= BATCH_MAX {
                break;
            }
            queued = timeout_at(until, self.queue.recv()).await.unwrap_or(None);
        }
        Some((calls, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_ratio_selects_exactly_its_share_of_traces() {
        let ratio = |text| SampleRatio::parse(text).unwrap();
        let step = (1_u128 << RANDOM_BITS) / 10_000;
        for (text, expected) in [("0", 0), ("0.01", 100), ("0.5", 5000), ("1", 10_000)] {
            let traces = (0..10_000).map(|number| (7 << 64) + number * step + step / 2);
            let taken = traces.filter(|trace| ratio(text).samples(*trace)).count();
            assert_eq!(taken, expected, "{text}");
        }
        for wrong in ["-0.1", "1.1", "NaN", "x", ""] {
            assert!(SampleRatio::parse(wrong).is_err(), "{wrong}");
        }
    }
}
