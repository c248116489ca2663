//! Detects that the peer of an HTTP/1.1 connection closes its side, or sends more, while its request is under way.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;

use futures_util::task::AtomicWaker;

/// State: no request waits.
const NOT_AWAITED: u8 = 0;

/// State: the request under way waits.
const AWAITED: u8 = 1;

/// State: the peer has closed its side or sent more.
const ARRIVED: u8 = 2;

/// Notifies a request that its peer has closed its side or sent more.
#[derive(Debug, Default)]
pub(crate) struct PeerInput {
    state: AtomicU8,
    request: AtomicWaker,
}

impl PeerInput {
    /// Completes when the peer has closed its side or sent more since the first poll of this future. Only one request may wait.
    pub(crate) async fn arrived(&self) {
        let _unasked = StopWaitingOnDrop(&self.state);
        self.state.store(AWAITED, Ordering::Release);
        poll_fn(|cx| {
            self.request.register(cx.waker());
            match self.state.load(Ordering::Acquire) {
                ARRIVED => Poll::Ready(()),
                _ => Poll::Pending,
            }
        })
        .await;
    }

    /// Returns whether a request waits.
    pub(crate) fn is_awaited(&self) -> bool {
        self.state.load(Ordering::Relaxed) == AWAITED
    }

    /// Wakes the waiting request, because the peer has closed its side or sent more.
    pub(crate) fn note(&self) {
        self.state.store(ARRIVED, Ordering::Release);
        self.request.wake();
    }
}

/// Ends the wait when it is dropped.
struct StopWaitingOnDrop<'s>(&'s AtomicU8);

impl Drop for StopWaitingOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(NOT_AWAITED, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn peer_input_is_reported_while_it_is_awaited() {
        let more = PeerInput::default();
        // Input that no request awaits is not reported later.
        more.note();
        assert!(!more.is_awaited());
        let mut came = Box::pin(more.arrived());
        for _ in 0..2 {
            assert!(came.as_mut().now_or_never().is_none());
            assert!(more.is_awaited());
        }
        more.note();
        assert!(!more.is_awaited());
        assert!(came.as_mut().now_or_never().is_some());
        drop(came);
        // The next request waits for a new event, until it is dropped.
        assert!(more.arrived().now_or_never().is_none());
        assert!(!more.is_awaited());
    }
}
