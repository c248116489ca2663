//! Reads and discards a rejected body for a moment before the connection closes.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};

use super::DeadlineStream;

/// How long a closing connection continues to read a rejected body: one or two round trips, so that the peer receives the answer.
pub(super) const LINGER_MAX: Duration = Duration::from_millis(900);

/// Number of bytes of a rejected body that one read takes.
const LINGER_CHUNK_BYTES: usize = 8 * 1024;

/// Number of reads after which the task yields to other connections.
const LINGER_CHUNKS_AT_ONCE: usize = 16;

impl<S: AsyncRead + Unpin> DeadlineStream<S> {
    /// Reads and discards arriving bytes until the peer closes or its time is over. Closing with unread bytes would make the system
    /// send a reset, and a peer that is still writing would lose the answer.
    pub(super) fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let timer = self
            .linger
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER_MAX)));
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut scratch = [std::mem::MaybeUninit::uninit(); LINGER_CHUNK_BYTES];
        for _ in 0..LINGER_CHUNKS_AT_ONCE {
            let mut scratch = ReadBuf::uninit(&mut scratch);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut scratch)) {
                // A flood ends this early, because the time is meant for a rejected body only.
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
