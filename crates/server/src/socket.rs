//! The operations that a connection needs of its socket besides reading and writing, with or without TLS.

use std::io;
use std::task::{Context, Poll};

use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A stream over a socket.
pub(crate) trait Socket {
    /// Makes the later close send a reset. Without a reset the system would continue to offer the rest of an answer to a peer that
    /// does not take it.
    fn abort(&self);

    /// Waits until there is something to read, after a read that found nothing.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Waits until there is something to read or the peer has closed its side. Reads nothing.
    fn poll_more(&self, cx: &mut Context<'_>) -> Poll<()>;
}

impl Socket for TcpStream {
    fn abort(&self) {
        // A connection that has already ended needs no reset.
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
        // Under TLS a close of the peer's side also arrives as bytes: a close_notify message.
        self.get_ref().0.poll_more(cx)
    }
}
