//! The rest of an idle HTTP/1.1 connection: only its stream waits for the peer, without the objects that serve requests.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

use super::DeadlineStream;
use crate::connection_state::Epoch;
use crate::socket::Socket;

/// Idle time after which an HTTP/1.1 connection rests. A rest frees the objects that serve its requests, among them 16 KiB of
/// buffers. The next request creates them again, which costs a few microseconds.
const REST_AFTER: Duration = Duration::from_secs(1);

impl<S> DeadlineStream<S> {
    /// Continues after a rest with bytes that were read but not used: the beginning of a head that arrived together with the
    /// previous request.
    pub(crate) fn with_unread(self, unread: &[u8]) -> DeadlineStream<S> {
        DeadlineStream {
            // A slice of hyper's buffer, even an empty slice, would keep the whole buffer of 8 KiB in memory.
            unread: Bytes::copy_from_slice(unread),
            ..self
        }
    }

    /// Returns the time at which the connection may rest; `None` if it has something to do or has not had a request yet.
    fn rest_at(&self) -> Option<Instant> {
        let is_idle = !self.epoch.is_busy() && self.epoch != Epoch::FIRST && !self.in_head;
        let may_rest = is_idle && self.write_timer.is_none() && !self.is_multiplexed();
        Some(self.since.filter(|_| may_rest)? + REST_AFTER)
    }

    /// Completes at the deadline. If the connection may rest before the deadline, asks it to do so.
    pub(super) fn poll_deadline(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        if let Some(rest_at) = self.rest_at().filter(|rest_at| *rest_at < deadline) {
            self.set_read_timer(rest_at);
            ready!(self.read_timer.as_mut().poll(cx));
            self.state.request_rest();
        }
        self.set_read_timer(deadline);
        self.read_timer.as_mut().poll(cx)
    }
}

impl<S: Socket> DeadlineStream<S> {
    /// Rests until the peer has sent something.
    ///
    /// # Errors
    /// When the idle time is over, or the socket fails.
    pub(crate) async fn readable(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            if !self.unread.is_empty() {
                return Poll::Ready(Ok(()));
            }
            if let Poll::Ready(readable) = self.stream.poll_readable(cx) {
                return Poll::Ready(readable);
            }
            let deadline = self.read_deadline().unwrap_or_else(Instant::now);
            self.set_read_timer(deadline);
            ready!(self.read_timer.as_mut().poll(cx));
            Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
        })
        .await
    }
}

impl<S: AsyncRead + Unpin> DeadlineStream<S> {
    /// Reads the bytes that were read before the rest, and then the stream.
    pub(super) fn poll_stream(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let read = self.unread.len().min(buf.remaining());
        buf.put_slice(&self.unread.split_to(read));
        Poll::Ready(Ok(()))
    }
}
