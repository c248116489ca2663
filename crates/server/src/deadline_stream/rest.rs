//! An HTTP/1.1 connection without a request rests: its stream waits alone, without what serves requests.

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

/// After so long without a request an HTTP/1.1 connection rests: what serves its requests is given back, 16 KiB of buffers
/// among it, and made anew for the next one, which costs a few microseconds.
const REST_AFTER: Duration = Duration::from_secs(1);

impl<S> DeadlineStream<S> {
    /// Goes on after a rest with what had been read and not used: the beginning of a head that came with the request before.
    pub(crate) fn with_unread(self, unread: &[u8]) -> DeadlineStream<S> {
        DeadlineStream {
            // A piece of hyper's buffer, and an empty one too, would keep all of it: 8 KiB.
            unread: Bytes::copy_from_slice(unread),
            ..self
        }
    }

    /// When the connection may rest; `None` while it has something to do, or has not had a request.
    fn rest_at(&self) -> Option<Instant> {
        let is_idle = !self.epoch.is_busy() && self.epoch != Epoch::FIRST && !self.in_head;
        let may_rest = is_idle && self.writing.is_none() && self.control_frames.is_none();
        Some(self.since.filter(|_| may_rest)? + REST_AFTER)
    }

    /// Fails at the deadline, and has the connection rest before it if it may.
    pub(super) fn poll_deadline(&mut self, cx: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        if let Some(rest_at) = self.rest_at().filter(|rest_at| *rest_at < deadline) {
            self.set_read_timer(rest_at);
            ready!(self.read_timer.as_mut().poll(cx));
            self.state.rest();
        }
        self.set_read_timer(deadline);
        self.read_timer.as_mut().poll(cx)
    }
}

impl<S: Socket> DeadlineStream<S> {
    /// Rests until the peer has sent something.
    ///
    /// # Errors
    /// When the idle time is over.
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
    /// Reads what was read before, and then the stream.
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
