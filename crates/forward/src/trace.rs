//! The trace of a call (W3C Trace Context), and the record of the call's attempts at the upstream.

use std::fmt::Write as _;
use std::time::Instant;

use adapter::Code;
use client::TraceHeaders;
use http::HeaderValue;
use parking_lot::Mutex;
use url::Url;

/// The distance of the attempts' span ids from the id of the call's own span; larger than the number of steps of a call.
const ATTEMPTS_BEGIN: u64 = 16;

/// A span of a trace, as in `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// Id of the trace; never 0.
    pub trace_id: u128,
    /// Id of the span; never 0.
    pub span_id: u64,
    /// True if the service that began the trace records it.
    pub is_sampled: bool,
}

impl TraceParent {
    /// Parses a well-formed `traceparent` (W3C Trace Context, 3.2). Later versions may add fields.
    #[must_use]
    pub fn parse(text: &str) -> Option<TraceParent> {
        let mut fields = text.split('-');
        let mut field = |length| {
            let is_digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
            let field = fields.next()?;
            (field.len() == length && field.bytes().all(is_digit)).then_some(field)
        };
        let version = field(2)?;
        let trace_id = u128::from_str_radix(field(32)?, 16).ok()?;
        let span_id = u64::from_str_radix(field(16)?, 16).ok()?;
        let flags = u8::from_str_radix(field(2)?, 16).ok()?;
        let is_whole = version != "00" || fields.next().is_none();
        (version != "ff" && is_whole && trace_id != 0 && span_id != 0).then_some(TraceParent {
            trace_id,
            span_id,
            is_sampled: flags & 1 == 1,
        })
    }

    /// Formats the trace's id as in headers, logs and rows.
    #[must_use]
    pub fn trace_id_text(trace_id: u128) -> String {
        format!("{trace_id:032x}")
    }

    fn header(self) -> Option<HeaderValue> {
        let mut text = String::with_capacity(55);
        let flags = u8::from(self.is_sampled);
        // Writing into a String can't fail.
        let _ = write!(
            text,
            "00-{:032x}-{:016x}-{flags:02x}",
            self.trace_id, self.span_id
        );
        HeaderValue::try_from(text).ok()
    }
}

/// One attempt at the upstream.
#[derive(Clone, Debug)]
pub struct TracedAttempt {
    /// Id of the attempt's span.
    pub span_id: u64,
    /// The time when the attempt began.
    pub began: Instant,
    /// The time when the attempt ended; `None` while it is in progress or if it was abandoned.
    pub ended: Option<Instant>,
    /// The host that was asked.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The status of the answer.
    pub status: Option<u16>,
    /// The code of the failure.
    pub error: Option<Code>,
}

/// The attempts of one traced call. The call may end before its attempts.
#[derive(Debug)]
pub struct AttemptLog {
    /// The call's own span.
    call: TraceParent,
    /// The `tracestate` to send along; `None` if the upstream does not receive the trace.
    passed_on: Option<Option<HeaderValue>>,
    attempts: Mutex<Vec<TracedAttempt>>,
}

impl AttemptLog {
    /// Creates a log without attempts. `passed_on` contains the `tracestate` for the upstream if the upstream receives the trace.
    #[must_use]
    pub fn new(call: TraceParent, passed_on: Option<Option<HeaderValue>>) -> AttemptLog {
        AttemptLog {
            call,
            passed_on,
            attempts: Mutex::default(),
        }
    }

    /// Returns the attempts so far.
    #[must_use]
    pub fn attempts(&self) -> Vec<TracedAttempt> {
        self.with(|attempts| attempts.clone())
    }

    /// Notes the beginning of an attempt, and returns the trace headers for its request.
    pub(crate) fn begin(&self, began: Instant, url: &Url) -> Option<TraceHeaders> {
        let span_id = self.with(|attempts| {
            let number = ATTEMPTS_BEGIN + attempts.len() as u64;
            let span_id = self.call.span_id.wrapping_add(number);
            attempts.push(TracedAttempt {
                span_id,
                began,
                ended: None,
                host: url.host_str().unwrap_or_default().to_owned(),
                port: url.port_or_known_default().unwrap_or_default(),
                status: None,
                error: None,
            });
            span_id
        });
        let state = self.passed_on.clone()?;
        let parent = TraceParent {
            span_id,
            ..self.call
        };
        let parent = parent.header()?;
        Some(TraceHeaders { parent, state })
    }

    /// Notes the status of the attempt in progress.
    pub(crate) fn answered(&self, status: u16) {
        self.update(|attempt| attempt.status = Some(status));
    }

    /// Notes the end of the attempt in progress.
    pub(crate) fn ended(&self, at: Instant, error: Option<Code>) {
        self.update(|attempt| {
            attempt.ended = Some(at);
            attempt.error = error;
        });
    }

    fn update(&self, change: impl FnOnce(&mut TracedAttempt)) {
        self.with(|attempts| attempts.last_mut().map(change));
    }

    fn with<T>(&self, work: impl FnOnce(&mut Vec<TracedAttempt>) -> T) -> T {
        work(&mut self.attempts.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_well_formed_traceparent_is_accepted() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        let right = format!("00-{trace}-00f067aa0ba902b7-01");
        let parent = TraceParent::parse(&right).unwrap();
        assert_eq!(TraceParent::trace_id_text(parent.trace_id), trace);
        assert_eq!(parent.header().unwrap(), right);
        assert!(parent.is_sampled);
        let parsed = |text: &str| TraceParent::parse(text);
        assert!(!parsed(&right.replace("-01", "-00")).unwrap().is_sampled);
        assert!(parsed(&format!("01{}-more", &right[2..])).is_some());
        for wrong in [
            format!("ff{}", &right[2..]),
            format!("{right}-more"),
            right.replace(trace, &"0".repeat(32)),
            right.replace("00f067aa0ba902b7", "0000000000000000"),
            right.to_uppercase(),
            right.replace("-01", "-+1"),
            right.replace("-01", ""),
            String::new(),
        ] {
            assert_eq!(parsed(&wrong), None, "{wrong}");
        }
    }
}
