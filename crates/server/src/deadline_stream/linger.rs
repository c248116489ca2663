//! Reads and discards what still arrives on a closing connection, so that the peer receives the whole answer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, sleep_until};

use super::DeadlineStream;

/// How long a closing connection continues to read after the peer has taken the answer: one or two round trips.
pub(super) const LINGER_MAX: Duration = Duration::from_millis(900);

/// Number of bytes that one read takes.
const LINGER_CHUNK_BYTES: usize = 8 * 1024;

/// Number of reads after which the task yields to other connections.
const LINGER_CHUNKS_AT_ONCE: usize = 16;

impl<S: AsyncRead + Unpin> DeadlineStream<S> {
    /// Returns the time until which the closing connection reads. A peer of HTTP/1.1 sends nothing while it takes its answer, unless
    /// the service has rejected its body. A peer of HTTP/2 reports how much it has taken.
    fn linger_until(&self) -> Option<Instant> {
        let body = self.state.has_unread_body().then(Instant::now);
        let answer = self
            .is_multiplexed()
            .then(|| self.write_deadline.taken_by());
        Some(body.max(answer)? + LINGER_MAX)
    }

    /// Reads and discards arriving bytes until the peer closes or its time is over. If bytes arrived after the close, the system
    /// would send a reset, and the peer would lose the part of the answer that it has not taken yet.
    pub(super) fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.linger.is_none() {
            let until = self.linger_until();
            self.linger = until.map(|until| Box::pin(sleep_until(until)));
        }
        let Some(timer) = &mut self.linger else {
            return Poll::Ready(());
        };
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut scratch = [std::mem::MaybeUninit::uninit(); LINGER_CHUNK_BYTES];
        for _ in 0..LINGER_CHUNKS_AT_ONCE {
            let mut scratch = ReadBuf::uninit(&mut scratch);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut scratch)) {
                // A flood ends this early.
                Ok(())
                    if !scratch.filled().is_empty()
                        && !self.exceeds_budget(scratch.filled().len()) => {}
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
