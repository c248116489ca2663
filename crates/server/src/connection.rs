//! Serves one connection, from the accepted socket to its last answer: PROXY header → TLS → HTTP/1.1 or HTTP/2. Each connection
//! runs in its own task, so that no other connection waits for a slow peer.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;

use crate::context::{Cause, ConnectionContext, ShutdownHandles};
use crate::dispatch::Dispatch;
use crate::peer::{Peer, PeerAddr};
use crate::permits::ConnectionPermit;
use crate::policy::Shutdown;
use crate::tls::Tls;
use crate::workers::WorkerLoadGuard;
use crate::{http1, http2, proxy_protocol, tls};

/// A connection that has been accepted and has a permit.
pub(crate) struct Accepted {
    /// The socket. No runtime has registered it yet: the runtime that serves the connection does so.
    pub(crate) stream: std::net::TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) permit: ConnectionPermit,
    pub(crate) guard: Option<WorkerLoadGuard>,
}

/// Serves one connection until it ends or is evicted.
pub(crate) async fn serve<D: Dispatch>(
    accepted: Accepted,
    context: ConnectionContext<D>,
    handles: ShutdownHandles,
) {
    let peer = accepted.peer;
    let state = Arc::clone(accepted.permit.state());
    let ended = tokio::select! {
        // In this order, because otherwise each poll draws a random number to choose the branch that it polls first.
        biased;
        ended = open(accepted, &context, handles) => ended,
        () = state.evicted() => Err("evicted".into()),
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

async fn open<D: Dispatch>(
    accepted: Accepted,
    context: &ConnectionContext<D>,
    mut handles: ShutdownHandles,
) -> Result<(), Cause> {
    let Accepted {
        stream,
        peer,
        mut permit,
        guard: _guard,
    } = accepted;
    let mut stream = TcpStream::from_std(stream)?;
    let mut addr = PeerAddr::of(peer);
    let policy = &context.policy;
    // Answers are small, and waiting for a full segment would only delay them.
    let _ = stream.set_nodelay(true);
    if policy.proxy_protocol {
        if !policy.is_proxy(peer.ip()) {
            return Err("the peer is not a trusted proxy".into());
        }
        let header = proxy_protocol::read(&mut stream);
        addr = match unless_shut_down(&mut handles.shutdown, header).await?? {
            None => PeerAddr::caller(peer),
            Some(source) => {
                permit = permit
                    .move_to(source.ip(), policy)
                    .ok_or("too many connections from this source")?;
                PeerAddr::of(source)
            }
        };
    }
    let state = Arc::clone(permit.state());
    let peer = Peer { addr, state };
    let Some(tls) = &policy.tls else {
        return http1::serve(stream, &peer, context, handles).await;
    };
    // In a box, because otherwise the tasks of all other connections would be as large as this future.
    Box::pin(open_tls((tls, stream), &peer, context, handles)).await
}

/// Serves a TLS connection with the protocol that its handshake negotiates.
async fn open_tls<D: Dispatch>(
    (tls, stream): (&Tls, TcpStream),
    peer: &Peer,
    context: &ConnectionContext<D>,
    mut handles: ShutdownHandles,
) -> Result<(), Cause> {
    let handshake = tls.acceptor().accept(stream);
    let handshake = tokio::time::timeout(context.policy.deadlines.head, handshake);
    let stream = unless_shut_down(&mut handles.shutdown, handshake).await???;
    if stream.get_ref().1.alpn_protocol() == Some(tls::HTTP_2) {
        http2::serve(stream, peer, context, handles).await
    } else {
        http1::serve(stream, peer, context, handles).await
    }
}

/// Awaits a future of a connection that has no request yet. Fails as soon as the listener shuts down.
async fn unless_shut_down<T>(
    shutdown: &mut Shutdown,
    future: impl Future<Output = T>,
) -> Result<T, Cause> {
    tokio::select! {
        output = future => Ok(output),
        _ = shutdown.requested() => Err("the listener is shutting down".into()),
    }
}
