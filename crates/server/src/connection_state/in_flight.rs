//! The guard of a request under way on a connection, with the deadline of the request.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::{CHANGE, ConnectionState, now_ms};

/// The amounts that the begin and the end of a request add to the epoch.
const BEGIN: u64 = CHANGE + 1;
const END: u64 = CHANGE - 1;

/// A request under way. Dropping the guard ends the request.
#[derive(Debug)]
pub(crate) struct InFlight {
    state: Arc<ConnectionState>,
    /// The key of the request's deadline, if it has one.
    number: Option<u64>,
}

impl ConnectionState {
    /// Begins a request, which ends when the returned guard is dropped.
    pub(crate) fn begin(state: &Arc<ConnectionState>) -> InFlight {
        state.epoch.fetch_add(BEGIN, Ordering::AcqRel);
        state.waits_since_ms.store(0, Ordering::Relaxed);
        InFlight {
            state: Arc::clone(state),
            number: None,
        }
    }

    /// Begins a request next to other requests, with its own deadline.
    pub(crate) fn begin_within(state: &Arc<ConnectionState>, allowed: Duration) -> InFlight {
        let mut in_flight = ConnectionState::begin(state);
        // The epoch is a unique key, because it changes with each request.
        in_flight.number = Some(state.epoch.load(Ordering::Relaxed));
        in_flight.set_deadline(Instant::now() + allowed);
        in_flight
    }
}

impl InFlight {
    /// Removes the deadline, because the service has nothing to send yet and the server does not wait for the peer.
    pub(crate) fn clear_deadline(&mut self) {
        if let Some(number) = &self.number {
            self.state.deadlines.lock().remove(number);
        }
    }

    /// Marks the answer as a stream of events until the request ends (HTTP/1.1 only).
    pub(crate) fn mark_event_stream(&self) {
        self.state.sends_events.store(true, Ordering::Relaxed);
    }

    /// Moves the deadline of the request, if the request has a key for it.
    pub(crate) fn set_deadline(&mut self, deadline: Instant) {
        if let Some(number) = self.number {
            self.state.deadlines.lock().insert(number, deadline);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let InFlight { state, number } = self;
        if let Some(number) = number {
            state.deadlines.lock().remove(number);
        }
        state.has_completed.store(true, Ordering::Relaxed);
        state.sends_events.store(false, Ordering::Relaxed);
        let before = state.epoch.fetch_add(END, Ordering::AcqRel);
        if before & u64::from(u32::MAX) == 1 {
            state.waits_since_ms.store(now_ms(), Ordering::Relaxed);
        }
        state.reader.wake();
    }
}
