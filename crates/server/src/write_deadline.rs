//! The deadline by which a peer has to take more of an answer.

use http::Response;
use http::header::CONTENT_TYPE;
use tokio::time::Instant;

use crate::policy::Deadlines;

/// Number of bytes of an answer that a peer may take before the server notices it. TLS buffers up to 64 KiB below the stream, and the
/// system reports room again only after the peer has taken up to 340 KiB (measured with [`crate::policy::UNSENT_BYTES_MAX`]).
const UNSEEN_BYTES_MAX: u64 = 384 * 1024;

/// Returns whether an answer is a stream of events. Its bytes earn no time: a reader that takes nothing for a while is closed, and
/// resumes after its last event without a loss.
pub(crate) fn is_event_stream<B>(response: &Response<B>) -> bool {
    let media_type = response.headers().get(CONTENT_TYPE);
    media_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

/// The deadline by which a peer has to take more of what is written. TLS and the system buffer the bytes, and nobody reports how many
/// of them the peer has taken. Therefore each byte earns time at the minimum rate from the moment at which it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WriteDeadline {
    /// The time by which a peer at the minimum rate has taken all bytes since the start of the wait.
    by_pace: Instant,
    /// The time by which a peer at the minimum rate has taken the bytes that may still be buffered. A peer that took many bytes
    /// quickly must not then pause for the whole time that they earned.
    taken_by: Instant,
}

impl WriteDeadline {
    /// Returns the deadline of a peer to which nothing was written yet.
    pub(crate) fn new(now: Instant) -> WriteDeadline {
        WriteDeadline {
            by_pace: now,
            taken_by: now,
        }
    }

    /// Starts a wait for the peer. Only the bytes that may still be buffered have earned time.
    pub(crate) fn start(&mut self, now: Instant) {
        self.taken_by = self.taken_by.max(now);
        self.by_pace = self.taken_by;
    }

    /// Adds the time that these written bytes earn.
    pub(crate) fn extend(&mut self, now: Instant, bytes: usize, deadlines: &Deadlines) {
        let earned = deadlines.time_for(bytes as u64);
        self.by_pace += earned;
        let latest = now + deadlines.time_for(UNSEEN_BYTES_MAX);
        self.taken_by = (self.taken_by.max(now) + earned).min(latest);
    }

    /// Returns the deadline.
    pub(crate) fn at(&self, deadlines: &Deadlines) -> Instant {
        self.by_pace.min(self.taken_by) + deadlines.write
    }

    /// Returns the time by which a peer at the minimum rate has taken everything that was written.
    pub(crate) fn taken_by(&self) -> Instant {
        self.taken_by
    }
}
