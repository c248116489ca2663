//! Which calls are traced, and the queue of those that are on their way to the receiver. A call never waits for it: what finds no
//! place is dropped and counted.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use crate::log_queue::LogClass;
use crate::otlp::encode;
use crate::traced_call::TracedCall;

/// Most traced calls that wait: two to four megabytes.
const WAITING_MAX: usize = 4096;

/// How many places callers who have not authenticated leave to others.
const KEPT_FOR_KNOWN: usize = WAITING_MAX / 4 * 3;

/// Most calls in one request to the receiver.
const BATCH_MAX: usize = 256;

/// Longest time that a call waits for others to go with.
const GATHER: Duration = Duration::from_secs(1);

/// Bits of a trace's id that are random (W3C Trace Context, level 2): all who sample by the same ratio take the same traces.
const RANDOM_BITS: u32 = 56;

/// Which part of the calls is traced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleRatio {
    /// Of 2^56 traces.
    traces: u64,
}

impl SampleRatio {
    /// Reads a number from 0 to 1.
    ///
    /// # Errors
    /// A sentence, when it is none.
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

    /// Whether a trace with this id is sampled.
    #[must_use]
    pub fn takes(self, trace_id: u128) -> bool {
        let random = (trace_id & ((1 << RANDOM_BITS) - 1)) as u64;
        random >= (1 << RANDOM_BITS) - self.traces
    }
}

/// What has become of traced calls.
#[derive(Clone, Debug, Default)]
pub struct TraceCounts {
    /// Taken by the receiver.
    pub(crate) exported: Counter,
    /// Not taken, or without a place in the queue.
    pub(crate) dropped: Counter,
}

enum Queued {
    Call(Box<TracedCall>),
    /// Somebody waits until what came before has been sent.
    Flush(oneshot::Sender<()>),
}

/// Where traced calls go.
pub struct Tracer {
    ratio: SampleRatio,
    passes_on: bool,
    queue: mpsc::Sender<Queued>,
    counts: TraceCounts,
}

/// What takes them to the receiver.
pub struct TraceExport {
    service: String,
    queue: mpsc::Receiver<Queued>,
    counts: TraceCounts,
}

impl Tracer {
    /// Makes both ends of a queue. `passes_on` says whether the upstream hears of the traces.
    #[must_use]
    pub fn new(
        service: String,
        ratio: SampleRatio,
        passes_on: bool,
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
            passes_on,
            queue: sender,
            counts,
        };
        (tracer, export)
    }

    /// Whether a trace with this id that we begin is sampled.
    #[must_use]
    pub fn samples(&self, trace_id: u128) -> bool {
        self.ratio.takes(trace_id)
    }

    /// Whether the upstream hears of the traces.
    #[must_use]
    pub fn passes_on(&self) -> bool {
        self.passes_on
    }

    /// Queues a call that is over.
    pub fn push(&self, class: LogClass, call: TracedCall) {
        let has_place = class == LogClass::Known || self.queue.capacity() > KEPT_FOR_KNOWN;
        if !has_place || self.queue.try_send(Queued::Call(Box::new(call))).is_err() {
            self.counts.dropped.inc();
        }
    }

    /// Waits until what was queued is with the receiver, at most so long.
    pub async fn flush(&self, longest: Duration) {
        let flushed = async {
            let (reply, done) = oneshot::channel();
            if self.queue.send(Queued::Flush(reply)).await.is_ok() {
                let _ = done.await;
            }
        };
        let _ = timeout(longest, flushed).await;
    }
}

impl TraceExport {
    /// Hands requests to `post` until the tracer is gone; `post` says whether the receiver has taken one.
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

    /// Gathers calls, until somebody waits for them or they are enough. `None` when no more can come.
    async fn next(&mut self) -> Option<(Vec<Box<TracedCall>>, Option<oneshot::Sender<()>>)> {
        let mut calls = Vec::new();
        let mut queued = Some(self.queue.recv().await?);
        let until = Instant::now() + GATHER;
        while let Some(next) = queued {
            match next {
                Queued::Flush(reply) => return Some((calls, Some(reply))),
                Queued::Call(call) => calls.push(call),
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
    fn a_ratio_takes_its_part_of_the_traces_and_no_other() {
        let ratio = |text| SampleRatio::parse(text).unwrap();
        let step = (1_u128 << RANDOM_BITS) / 10_000;
        for (text, expected) in [("0", 0), ("0.01", 100), ("0.5", 5000), ("1", 10_000)] {
            let traces = (0..10_000).map(|number| (7 << 64) + number * step + step / 2);
            let taken = traces.filter(|trace| ratio(text).takes(*trace)).count();
            assert_eq!(taken, expected, "{text}");
        }
        for wrong in ["-0.1", "1.1", "NaN", "x", ""] {
            assert!(SampleRatio::parse(wrong).is_err(), "{wrong}");
        }
    }
}
