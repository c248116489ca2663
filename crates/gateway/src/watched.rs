//! A TCP stream with deadlines: for the first byte, for a whole head, for the rest between requests, for a reader that
//! does not read.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// How long a connection that closes lets a refused body come in: a round trip or two, so that the peer sees the answer.
const LINGER_MAX: Duration = Duration::from_secs(2);

/// How much of it is read at once, in bytes.
const LINGER_CHUNK_BYTES: usize = 8 * 1024;

/// After so many chunks other connections get their turn.
const LINGER_CHUNKS_AT_ONCE: usize = 16;

/// How long a peer may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadlines {
    /// For the first byte of a connection, and from the first byte of a head to its end.
    pub(crate) head: Duration,
    /// Between two requests.
    pub(crate) idle: Duration,
    /// For taking a piece of the answer.
    pub(crate) write: Duration,
}

impl Default for Deadlines {
    fn default() -> Deadlines {
        Deadlines {
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(30),
        }
    }
}

/// Which request of a connection is under way; told by the service, read by the stream.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// Requests begun and ended, twice the number of whole ones; odd while one is under way.
    steps: AtomicU32,
    /// Whoever reads while a request is under way. The server does not come back to read of its own accord when the
    /// request has ended, and the rest would have no deadline.
    reader: AtomicWaker,
    /// Whether a body was left unread, so that bytes of it may still be on their way.
    unread: AtomicBool,
}

/// One request under way.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Activity>);

impl Activity {
    /// A request begins; it ends when the value is dropped.
    pub(crate) fn begin(activity: &Arc<Activity>) -> Busy {
        activity.steps.fetch_add(1, Ordering::Release);
        Busy(Arc::clone(activity))
    }

    /// A body was not read to its end: when the connection closes, the rest has to be let in and thrown away.
    pub(crate) fn leave_unread(&self) {
        self.unread.store(true, Ordering::Release);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.steps.fetch_add(1, Ordering::Release);
        self.0.reader.wake();
    }
}

/// The stream.
pub(crate) struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    deadlines: Deadlines,
    /// The step at which `since` was taken.
    step: u32,
    /// When this connection or this rest began, or the head that is being read.
    since: Instant,
    in_head: bool,
    read_timer: Pin<Box<Sleep>>,
    write_timer: Option<Pin<Box<Sleep>>>,
    linger: Option<Pin<Box<Sleep>>>,
}

impl<S> Watched<S> {
    /// Watches a stream that has just been accepted.
    pub(crate) fn new(stream: S, activity: Arc<Activity>, deadlines: Deadlines) -> Watched<S> {
        let since = Instant::now();
        let read_timer = Box::pin(tokio::time::sleep_until(since + deadlines.head));
        Watched {
            stream,
            activity,
            deadlines,
            step: 0,
            since,
            in_head: false,
            read_timer,
            write_timer: None,
            linger: None,
        }
    }

    /// When the peer has to have sent more; `None` while a request is under way, which has a deadline of its own.
    fn read_deadline(&mut self) -> Option<Instant> {
        let step = self.activity.steps.load(Ordering::Acquire);
        if step != self.step {
            self.step = step;
            self.since = Instant::now();
            self.in_head = false;
        }
        if step % 2 == 1 {
            return None;
        }
        let is_first_byte = step == 0 && !self.in_head;
        let allowed = if self.in_head || is_first_byte {
            self.deadlines.head
        } else {
            self.deadlines.idle
        };
        Some(self.since + allowed)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let deadline = this.read_deadline();
        match Pin::new(&mut this.stream).poll_read(cx, buf) {
            Poll::Ready(read) => {
                if deadline.is_some() && !this.in_head {
                    this.in_head = true;
                    this.since = Instant::now();
                }
                Poll::Ready(read)
            }
            Poll::Pending => {
                let Some(deadline) = deadline else {
                    this.activity.reader.register(cx.waker());
                    // If the request ended in between, nobody is left to wake the reader.
                    if this.read_deadline().is_some() {
                        cx.waker().wake_by_ref();
                    }
                    return Poll::Pending;
                };
                if this.read_timer.deadline() != deadline {
                    this.read_timer.as_mut().reset(deadline);
                }
                ready!(this.read_timer.as_mut().poll(cx));
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    /// Lets a write through, or fails it when the peer has not taken anything for too long.
    fn watch_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_timer = None;
            return written;
        }
        let allowed = self.deadlines.write;
        let timer = self
            .write_timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(allowed)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.watch_write(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.watch_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(cx);
        this.watch_write(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // TLS says goodbye, and a peer has to take that like anything else.
        let this = self.get_mut();
        let shut = Pin::new(&mut this.stream).poll_shutdown(cx);
        ready!(this.watch_write(cx, shut))?;
        if this.activity.unread.load(Ordering::Acquire) {
            ready!(this.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> Watched<S> {
    /// Throws away what still comes, until the peer closes or has had its time. Closing with bytes unread makes the system
    /// send a reset, which takes the answer away from a peer that is still writing.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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
                Ok(()) if !scratch.filled().is_empty() => {}
                Ok(()) | Err(_) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    fn watched(buffer: usize) -> (DuplexStream, Watched<DuplexStream>, Arc<Activity>) {
        let (peer, ours) = tokio::io::duplex(buffer);
        let activity = Arc::new(Activity::default());
        (
            peer,
            Watched::new(ours, Arc::clone(&activity), Deadlines::default()),
            activity,
        )
    }

    async fn times_out_after(stream: &mut Watched<DuplexStream>) -> Duration {
        let began = Instant::now();
        let read = stream.read(&mut [0; 64]).await;
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut);
        began.elapsed().max(Duration::from_secs(1))
    }

    fn is_about(took: Duration, seconds: u64) -> bool {
        (seconds * 1000..seconds * 1000 + 50).contains(&u64::try_from(took.as_millis()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_says_nothing_has_the_head_deadline() {
        let (_peer, mut stream, _) = watched(64);
        assert!(is_about(times_out_after(&mut stream).await, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_dribbles_is_not_given_more_time_by_each_byte() {
        let (mut peer, mut stream, _) = watched(64);
        let began = Instant::now();
        let dribble = tokio::spawn(async move {
            let mut pause = tokio::time::interval(Duration::from_secs(1));
            loop {
                pause.tick().await;
                if peer.write_all(b"x").await.is_err() {
                    return;
                }
            }
        });
        while stream.read(&mut [0; 1]).await.is_ok() {}
        assert!(is_about(began.elapsed(), 10));
        dribble.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_between_requests_has_the_idle_deadline_and_a_request_has_none() {
        let (mut peer, mut stream, activity) = watched(64);
        peer.write_all(b"GET").await.unwrap();
        stream.read_exact(&mut [0; 3]).await.unwrap();
        let busy = Activity::begin(&activity);
        let reading = tokio::spawn(async move { times_out_after(&mut stream).await });
        tokio::time::sleep(Duration::from_secs(1000)).await;
        assert!(!reading.is_finished());
        drop(busy);
        let took = reading.await.unwrap();
        assert!(is_about(took, 1075), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_has_the_write_deadline() {
        let (_peer, mut stream, _) = watched(4);
        let began = Instant::now();
        let written = stream.write_all(b"more than four").await;
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(is_about(began.elapsed(), 30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_a_goodbye_has_the_write_deadline() {
        let (_peer, ours) = tokio::io::duplex(4);
        // What is written at the end, as a goodbye is.
        let ours = tokio::io::BufWriter::new(ours);
        let mut stream = Watched::new(ours, Arc::default(), Deadlines::default());
        stream.write_all(b"more than four").await.unwrap();
        let began = Instant::now();
        let shut = stream.shutdown().await;
        assert_eq!(shut.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(is_about(began.elapsed(), 30));
    }
}
