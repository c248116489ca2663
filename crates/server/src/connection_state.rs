//! What happens on a connection: told by the service and by bodies, read by the stream, which has the deadlines, and by the
//! places, where those that are waited for make room.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;
use tokio::time::Instant;

/// One more request under way, in the lower half of `steps`; each change counts in the upper half.
const BEGIN: u64 = (1 << 32) + 1;
const END: u64 = (1 << 32) - 1;

/// When the process began to count milliseconds, so that an instant fits into an atomic.
static CLOCK_START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Never 0, which stands for nobody being waited for.
fn now_ms() -> i64 {
    i64::try_from(CLOCK_START.elapsed().as_millis()).unwrap_or(i64::MAX - 1) + 1
}

/// What happens on one connection.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    epochs: AtomicU64,
    /// Since when the peer is waited for, in milliseconds; 0 while it is not.
    waits_since_ms: AtomicI64,
    /// Whether a request has come to its end here.
    has_asked: AtomicBool,
    /// Whoever reads while a request is under way. The server does not come back to read of its own accord when the
    /// request has ended, and the rest would have no deadline.
    reader: AtomicWaker,
    /// Whether a body was left unread, so that bytes of it may still be on their way.
    unread: AtomicBool,
    closing: Notify,
    /// Bytes of bodies that the service has been given.
    body_bytes: AtomicU64,
    /// Requests that the peer gave up, less those that it took an answer to.
    abandoned: AtomicU32,
    /// Refusals in a row of callers who have not proved who they are.
    refused: AtomicU32,
    goodbye: Notify,
    /// Of a connection with many requests at once: when each has to be over.
    deadlines: Mutex<HashMap<u64, Instant>>,
}

impl Default for ConnectionState {
    fn default() -> ConnectionState {
        ConnectionState {
            epochs: AtomicU64::new(0),
            waits_since_ms: AtomicI64::new(now_ms()),
            has_asked: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            unread: AtomicBool::new(false),
            closing: Notify::new(),
            body_bytes: AtomicU64::new(0),
            abandoned: AtomicU32::new(0),
            refused: AtomicU32::new(0),
            goodbye: Notify::new(),
            deadlines: Mutex::default(),
        }
    }
}

/// One request under way.
#[derive(Debug)]
pub(crate) struct InFlight {
    state: Arc<ConnectionState>,
    /// Its place among the deadlines, if it has one.
    number: Option<u64>,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch(u64);

impl Epoch {
    /// That of a connection on which nothing has begun.
    pub(crate) const FIRST: Epoch = Epoch(0);

    /// Whether a request is under way.
    pub(crate) fn is_busy(self) -> bool {
        self.0 & u64::from(u32::MAX) != 0
    }
}

impl ConnectionState {
    /// A request begins; it ends when the value is dropped.
    pub(crate) fn begin(state: &Arc<ConnectionState>) -> InFlight {
        state.epochs.fetch_add(BEGIN, Ordering::AcqRel);
        state.waits_since_ms.store(0, Ordering::Relaxed);
        InFlight {
            state: Arc::clone(state),
            number: None,
        }
    }

    /// A request begins beside others that has to be over after so long.
    pub(crate) fn begin_until(state: &Arc<ConnectionState>, allowed: Duration) -> InFlight {
        let mut in_flight = ConnectionState::begin(state);
        // Each step is another number.
        in_flight.number = Some(state.epochs.load(Ordering::Relaxed));
        in_flight.until(allowed);
        in_flight
    }

    /// When the first of the requests under way has to be over, where they have deadlines.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadlines().values().min().copied()
    }

    fn deadlines(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        self.deadlines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The service was given so many bytes of a body.
    pub(crate) fn note_body(&self, bytes: u64) {
        self.body_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes of bodies that the service has been given.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.body_bytes.load(Ordering::Relaxed)
    }

    /// The peer gave a request up. Says how many, less those that it took an answer to.
    pub(crate) fn abandoned(&self) -> u32 {
        self.abandoned.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The peer waited for an answer.
    pub(crate) fn answered(&self) {
        let less = |count: u32| count.checked_sub(1);
        let _ = self
            .abandoned
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Somebody unknown was refused. Says how often that was in a row.
    pub(crate) fn refused(&self) -> u32 {
        self.refused.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Somebody has proved who they are.
    pub(crate) fn forget_refusals(&self) {
        // Most connections have none, and a look costs other threads nothing.
        if self.refused.load(Ordering::Relaxed) != 0 {
            self.refused.store(0, Ordering::Relaxed);
        }
    }

    /// What is under way ends, and nothing more is taken.
    pub(crate) fn say_goodbye(&self) {
        self.goodbye.notify_one();
    }

    /// Comes when that was said.
    pub(crate) async fn goodbye(&self) {
        self.goodbye.notified().await;
    }

    /// How far the connection is; every request changes it twice.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epochs.load(Ordering::Acquire))
    }

    /// Registers who reads, to be woken when a request has ended.
    pub(crate) fn reader(&self) -> &AtomicWaker {
        &self.reader
    }

    /// The request under way waits for its body.
    pub(crate) fn waits_for_body(&self) {
        // The first byte that is late counts, not the last: who sends one now and then is no better.
        let now = now_ms();
        let _ = self
            .waits_since_ms
            .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The body is there, or nobody wants it any more.
    pub(crate) fn has_body(&self) {
        if self.epoch().is_busy() {
            self.waits_since_ms.store(0, Ordering::Relaxed);
        }
    }

    /// For how long the peer has been waited for.
    pub(crate) fn waited(&self) -> Option<Duration> {
        match self.waits_since_ms.load(Ordering::Relaxed) {
            0 => None,
            since => u64::try_from(now_ms() - since)
                .ok()
                .map(Duration::from_millis),
        }
    }

    /// Whether a request has come to its end here.
    pub(crate) fn has_asked(&self) -> bool {
        self.has_asked.load(Ordering::Relaxed)
    }

    /// A body was not read to its end: when the connection closes, the rest has to be let in and thrown away.
    pub(crate) fn leave_unread(&self) {
        self.unread.store(true, Ordering::Release);
    }

    pub(crate) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Acquire)
    }

    /// The connection has to make room.
    pub(crate) fn close(&self) {
        self.closing.notify_one();
    }

    /// Comes when the connection has to make room.
    pub(crate) async fn closing(&self) {
        self.closing.notified().await;
    }
}

impl InFlight {
    /// From now on it has so long, if it has a deadline.
    pub(crate) fn until(&mut self, allowed: Duration) {
        if let Some(number) = self.number {
            let mut deadlines = self.state.deadlines();
            deadlines.insert(number, Instant::now() + allowed);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let InFlight { state, number } = self;
        if let Some(number) = number {
            state.deadlines().remove(number);
        }
        state.has_asked.store(true, Ordering::Relaxed);
        let before = state.epochs.fetch_add(END, Ordering::AcqRel);
        if before & u64::from(u32::MAX) == 1 {
            state.waits_since_ms.store(now_ms(), Ordering::Relaxed);
        }
        state.reader.wake();
    }
}

#[cfg(test)]
impl ConnectionState {
    /// Whether it has been told to make room; says so once.
    pub(crate) fn is_closed(&self) -> bool {
        futures_util::FutureExt::now_or_never(self.closing()).is_some()
    }

    /// As though the peer had been waited for so long, if it is waited for.
    pub(crate) fn pretend_waited(&self, waited: Duration) {
        if self.waits_since_ms.load(Ordering::Relaxed) != 0 {
            let since = now_ms() - i64::try_from(waited.as_millis()).unwrap();
            self.waits_since_ms.store(since, Ordering::Relaxed);
        }
    }
}
