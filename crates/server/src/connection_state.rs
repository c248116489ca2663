//! The state of one connection. The service and the bodies write it. The stream reads it to enforce its deadlines, and the limiter
//! reads it to find connections that it can evict.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Wake};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::peer_input::PeerInput;

mod in_flight;

pub(crate) use in_flight::InFlight;

/// The time at which the process began to count milliseconds. Counting from it makes an instant fit into an atomic.
static CLOCK_START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Returns the milliseconds since [`CLOCK_START`] plus one. The value is never 0, because 0 means that the server does not wait for
/// the peer.
fn now_ms() -> i64 {
    i64::try_from(CLOCK_START.elapsed().as_millis()).unwrap_or(i64::MAX - 1) + 1
}

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    epoch: AtomicU64,
    /// The time at which the server began to wait for the peer, in milliseconds; 0 while it does not wait.
    waits_since_ms: AtomicI64,
    /// True if a request has ended on this connection.
    has_completed: AtomicBool,
    /// The task that reads while a request is under way. It has to be woken when the request ends: hyper does not read again by
    /// itself then, and the idle time would have no deadline.
    reader: AtomicWaker,
    /// The task of an HTTP/1.1 connection. It is registered after each poll that is pending.
    task: AtomicWaker,
    /// Number of times that the connection was woken while it was polled.
    wakes: AtomicU32,
    /// True if the service did not read a body to its end, so that more bytes of the body may still arrive.
    has_unread_body: AtomicBool,
    /// The index of this connection among the connections of its source. The limiter reads and writes it under its lock.
    pub(crate) permit_index: AtomicUsize,
    is_evicted: AtomicBool,
    /// The task of the connection, woken when the connection is evicted. The task checks for an eviction at every poll; with a
    /// `Notify` this check would cost six times as much.
    eviction: AtomicWaker,
    /// True if the connection has been idle for long enough to rest.
    rest_requested: AtomicBool,
    /// Number of body bytes that the service has received.
    body_bytes: AtomicU64,
    /// Number of requests that the peer abandoned, minus the number of answers that it waited for.
    abandoned: AtomicU32,
    /// Number of rejected requests in a row whose callers had not authenticated.
    pub(crate) refusals: AtomicU32,
    /// True while an HTTP/1.1 answer is a stream of events.
    sends_events: AtomicBool,
    goaway: Notify,
    /// True if GOAWAY was sent.
    is_leaving: AtomicBool,
    pub(crate) peer_input: PeerInput,
    /// The deadline of each request under way (HTTP/2 only).
    deadlines: Mutex<HashMap<u64, Instant>>,
}

impl Default for ConnectionState {
    fn default() -> ConnectionState {
        ConnectionState {
            epoch: AtomicU64::new(0),
            waits_since_ms: AtomicI64::new(now_ms()),
            has_completed: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            task: AtomicWaker::new(),
            wakes: AtomicU32::new(0),
            has_unread_body: AtomicBool::new(false),
            permit_index: AtomicUsize::new(0),
            is_evicted: AtomicBool::new(false),
            eviction: AtomicWaker::new(),
            rest_requested: AtomicBool::new(false),
            body_bytes: AtomicU64::new(0),
            abandoned: AtomicU32::new(0),
            refusals: AtomicU32::new(0),
            sends_events: AtomicBool::new(false),
            goaway: Notify::new(),
            is_leaving: AtomicBool::new(false),
            peer_input: PeerInput::default(),
            deadlines: Mutex::default(),
        }
    }
}

/// Wakes the task of the connection. A wake during a poll takes effect after that poll.
impl Wake for ConnectionState {
    fn wake(self: Arc<ConnectionState>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<ConnectionState>) {
        self.wakes.fetch_add(1, Ordering::AcqRel);
        self.task.wake();
    }
}

/// The progress of a connection. The value changes when a request begins, when it ends, and when GOAWAY is sent. The lower half is
/// the number of requests under way; the upper half counts the changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Epoch(u64);

/// The amount that each change adds to the epoch.
const CHANGE: u64 = 1 << 32;

impl Epoch {
    /// The epoch of a connection on which no request has begun.
    pub(crate) const FIRST: Epoch = Epoch(0);

    /// Returns whether a request is under way.
    pub(crate) fn is_busy(self) -> bool {
        self.0 & u64::from(u32::MAX) != 0
    }
}

impl ConnectionState {
    /// Returns the earliest deadline of the requests under way.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadlines.lock().values().min().copied()
    }

    /// Returns whether an HTTP/1.1 answer under way is a stream of events.
    pub(crate) fn sends_events(&self) -> bool {
        self.sends_events.load(Ordering::Relaxed)
    }

    /// Counts body bytes that the service has received.
    pub(crate) fn count_body(&self, bytes: u64) {
        self.body_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns the number of body bytes that the service has received.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.body_bytes.load(Ordering::Relaxed)
    }

    /// Counts a request that the peer abandoned. Returns the number of abandoned requests minus the number of answers that the peer
    /// waited for.
    pub(crate) fn count_abandoned(&self) -> u32 {
        self.abandoned.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Subtracts one from the abandoned requests, because the peer waited for an answer.
    pub(crate) fn count_answered(&self) {
        let less = |count: u32| count.checked_sub(1);
        let _ = self
            .abandoned
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Requests GOAWAY: the requests under way finish, and the connection accepts no more requests.
    pub(crate) fn request_goaway(&self) {
        self.goaway.notify_one();
    }

    /// Completes when GOAWAY was requested.
    pub(crate) async fn goaway_requested(&self) {
        self.goaway.notified().await;
    }

    /// Shortens the idle time, because GOAWAY is sent.
    pub(crate) fn leave(&self) {
        self.is_leaving.store(true, Ordering::Release);
        self.epoch.fetch_add(CHANGE, Ordering::AcqRel);
        self.reader.wake();
    }

    /// Returns whether GOAWAY was sent.
    pub(crate) fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::Acquire)
    }

    /// Returns the current epoch of the connection.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// Returns the waker of the reading task, which is woken when a request has ended.
    pub(crate) fn reader(&self) -> &AtomicWaker {
        &self.reader
    }

    /// Polls the connection on behalf of its task. `poll` must pass the waker of this state to everything that it polls.
    pub(crate) fn poll<T>(&self, cx: &mut Context<'_>, poll: impl FnOnce() -> Poll<T>) -> Poll<T> {
        self.wakes.store(0, Ordering::Release);
        let polled = poll();
        if polled.is_pending() {
            self.task.register(cx.waker());
            if self.wakes.load(Ordering::Acquire) > 0 {
                cx.waker().wake_by_ref();
            }
        }
        polled
    }

    /// Takes a piece of a body with `take`, which also returns whether the piece was the last one. hyper wakes the connection after
    /// each piece to read more of the body. After the last piece this wake is cancelled, because it would only cause a poll of the
    /// whole connection, which costs 3,000 instructions.
    pub(crate) fn take_piece<T>(&self, take: impl FnOnce() -> (T, bool)) -> T {
        let before = self.wakes.load(Ordering::Acquire);
        let (piece, is_last) = take();
        if is_last {
            // Has no effect if something else woke the connection at the same moment.
            let _ = self.wakes.compare_exchange(
                before + 1,
                before,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
        }
        piece
    }

    /// Starts the wait for the body of the request under way.
    pub(crate) fn wait_for_body(&self) {
        // The wait starts with the first late byte and does not restart, so that a peer gains nothing by sending a byte now and
        // then.
        let now = now_ms();
        let _ = self
            .waits_since_ms
            .compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Ends the wait for a body that has arrived or that the service has dropped.
    pub(crate) fn end_wait_for_body(&self) {
        if self.epoch().is_busy() {
            self.waits_since_ms.store(0, Ordering::Relaxed);
        }
    }

    /// Restarts the wait for the peer, because the peer has taken a part of an answer that has left the service. The server now
    /// waits for the peer to take the rest.
    pub(crate) fn restart_wait(&self) {
        let since = self.waits_since_ms.load(Ordering::Relaxed);
        // While a request is under way, the server may be waiting for its body. That wait does not restart when the peer takes a
        // part of another answer.
        if since != 0 && !self.epoch().is_busy() {
            let now = now_ms();
            let _ = self.waits_since_ms.compare_exchange(
                since,
                now,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
    }

    /// Returns how long the server has waited for the peer; `None` if it does not wait.
    pub(crate) fn waited(&self) -> Option<Duration> {
        match self.waits_since_ms.load(Ordering::Relaxed) {
            0 => None,
            since => u64::try_from(now_ms() - since)
                .ok()
                .map(Duration::from_millis),
        }
    }

    /// Returns whether a request has ended on this connection.
    pub(crate) fn has_completed(&self) -> bool {
        self.has_completed.load(Ordering::Relaxed)
    }

    /// Notes that the service dropped a body before its end. The rest of the body has to be read and discarded when the connection
    /// closes.
    pub(crate) fn leave_body_unread(&self) {
        self.has_unread_body.store(true, Ordering::Release);
    }

    pub(crate) fn has_unread_body(&self) -> bool {
        self.has_unread_body.load(Ordering::Acquire)
    }

    /// Asks the connection to rest.
    pub(crate) fn request_rest(&self) {
        self.rest_requested.store(true, Ordering::Relaxed);
    }

    /// Returns whether the connection has to rest. Returns `true` only once for each
    /// [`request_rest`](ConnectionState::request_rest).
    pub(crate) fn take_rest_request(&self) -> bool {
        self.rest_requested.load(Ordering::Relaxed)
            && self.rest_requested.swap(false, Ordering::Relaxed)
    }

    /// Closes the connection immediately.
    pub(crate) fn evict(&self) {
        self.is_evicted.store(true, Ordering::Release);
        self.eviction.wake();
    }

    /// Completes when the connection has to close immediately. Only one task may wait for it.
    pub(crate) async fn evicted(&self) {
        poll_fn(|cx| {
            self.eviction.register(cx.waker());
            if self.is_evicted.load(Ordering::Acquire)
                && self.is_evicted.swap(false, Ordering::AcqRel)
            {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

#[cfg(test)]
impl ConnectionState {
    /// Returns whether the connection has been evicted. Returns `true` only once.
    pub(crate) fn take_eviction(&self) -> bool {
        futures_util::FutureExt::now_or_never(self.evicted()).is_some()
    }

    /// Pretends that the server has waited for the peer for this long, if it waits for the peer at all.
    pub(crate) fn pretend_waited(&self, waited: Duration) {
        if self.waits_since_ms.load(Ordering::Relaxed) != 0 {
            let since = now_ms() - i64::try_from(waited.as_millis()).unwrap();
            self.waits_since_ms.store(since, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[derive(Default)]
    struct WakeCounter(AtomicUsize);

    impl Wake for WakeCounter {
        fn wake(self: Arc<WakeCounter>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns the number of times that the task is woken by a poll that takes a piece and wakes the connection `wakes` times.
    fn wakes_of_a_poll(is_last: bool, wakes: usize) -> usize {
        let (state, counter) = (
            Arc::new(ConnectionState::default()),
            Arc::<WakeCounter>::default(),
        );
        let (waker, task) = (
            Waker::from(Arc::clone(&state)),
            Waker::from(Arc::clone(&counter)),
        );
        let polled = state.poll(&mut Context::from_waker(&task), || {
            state.take_piece(|| {
                (0..wakes).for_each(|_| waker.wake_by_ref());
                ((), is_last)
            });
            Poll::<()>::Pending
        });
        assert!(polled.is_pending());
        let woken = counter.0.swap(0, Ordering::Relaxed);
        waker.wake_by_ref();
        assert_eq!(counter.0.load(Ordering::Relaxed), 1, "between two polls");
        woken
    }

    #[test]
    fn only_the_wake_of_the_last_body_piece_is_suppressed() {
        assert_eq!(wakes_of_a_poll(true, 1), 0);
        assert_eq!(wakes_of_a_poll(false, 1), 1);
        assert_eq!(wakes_of_a_poll(true, 2), 1);
        assert_eq!(wakes_of_a_poll(false, 0), 0);
    }
}
