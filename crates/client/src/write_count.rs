//! Counts the writes of a connection, so that a failed exchange knows whether a byte of its request has left.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};

/// A value above every count. It marks a connection that must not write any more.
const SEALED: u64 = u64::MAX;

/// The number of writes that a connection has made. Clones count the same connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteCount(Arc<AtomicU64>);

impl WriteCount {
    /// Returns the number of writes so far.
    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Forbids further writes if there was none since `before`, and returns whether it did. Afterwards no byte of a request that
    /// began at `before` can leave any more.
    pub(crate) fn seal_unless_written_since(&self, before: u64) -> bool {
        let sealed = self
            .0
            .compare_exchange(before, SEALED, Ordering::AcqRel, Ordering::Acquire);
        matches!(sealed, Ok(_) | Err(SEALED))
    }

    /// Counts a write before it is made, because the bytes of a write in progress may have left.
    fn begin(&self) -> io::Result<()> {
        let counted = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
                (count != SEALED).then(|| count + 1)
            });
        counted
            .map(drop)
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Uncounts a write that wrote nothing.
    fn undo(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }

    fn count(&self, write: impl FnOnce() -> Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.begin()?;
        let written = write();
        if !matches!(written, Poll::Ready(Ok(1..))) {
            self.undo();
        }
        written
    }
}

/// A connection whose writes are counted.
pub(crate) struct CountedIo<T> {
    io: T,
    count: WriteCount,
}

impl<T> CountedIo<T> {
    pub(crate) fn new(io: T, count: WriteCount) -> CountedIo<T> {
        CountedIo { io, count }
    }
}

impl<T: Read + Unpin> Read for CountedIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<T: Write + Unpin> Write for CountedIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let CountedIo { io, count } = &mut *self;
        count.count(|| Pin::new(io).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let CountedIo { io, count } = &mut *self;
        count.count(|| Pin::new(io).poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unwritten_connection_is_sealed_and_rejects_later_writes() {
        let count = WriteCount::default();
        let before = count.now();
        assert!(count.count(|| Poll::Ready(Ok(3))).is_ready());
        assert!(!count.seal_unless_written_since(before));

        let before = count.now();
        // A write that is pending or fails has written nothing.
        assert!(count.count(|| Poll::Pending).is_pending());
        let failed = count.count(|| Poll::Ready(Err(io::ErrorKind::Other.into())));
        assert!(matches!(failed, Poll::Ready(Err(_))));
        assert!(count.seal_unless_written_since(before));
        assert!(count.seal_unless_written_since(before), "sealed it stays");
        let refused = count.count(|| unreachable!("a sealed connection is not written to"));
        assert!(
            matches!(refused, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe)
        );
    }
}
