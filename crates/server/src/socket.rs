//! What a connection asks of its socket besides reading and writing, under TLS or not.

use std::io;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A stream over a socket.
pub(crate) trait Socket {
    /// Makes closing send a reset. Without it the system would go on offering the rest of an answer to a peer that does not
    /// take it.
    fn abort(&self);

    /// Waits until there is something to read, after a read that found nothing.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Waits until there is something to read, or its end, and reads nothing.
    fn poll_more(&self, cx: &mut Context<'_>) -> Poll<()>;
}

impl Socket for TcpStream {
    fn abort(&self) {
        // A connection that has already gone needs no reset.
        let _ = self.set_zero_linger();
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_read_ready(cx)
    }

    fn poll_more(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut byte = [0];
        self.poll_peek(cx, &mut ReadBuf::new(&mut byte)).map(drop)
    }
}

impl<S: Socket> Socket for TlsStream<S> {
    fn abort(&self) {
        self.get_ref().0.abort();
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_ref().0.poll_readable(cx)
    }

    fn poll_more(&self, cx: &mut Context<'_>) -> Poll<()> {
        // Under TLS a peer says that it closes its side.
        self.get_ref().0.poll_more(cx)
    }
}
