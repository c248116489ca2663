//! One connection, from the accepted socket to its last answer: PROXY header → TLS → HTTP/1.1, or HTTP/2 if that was agreed. All of it in a task of its own,
//! so that nobody else waits for a peer that dawdles.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::connection_state::ConnectionState;
use crate::context::{Cause, ConnectionContext, ShutdownHandles};
use crate::deadline_stream::{Abort, DeadlineStream};
use crate::dispatch::Dispatch;
use crate::http2;
use crate::peer::{Peer, PeerAddr};
use crate::permits::ConnectionPermit;
use crate::policy::{HEAD_BYTES_MAX, HEADERS_MAX, Stop};
use crate::proxy_protocol;
use crate::timed_body::TimedBody;
use crate::tls;
use crate::workers::WorkerLoadGuard;

/// A connection that has been accepted and counted.
pub(crate) struct Accepted {
    /// Not bound to a runtime yet: it becomes that of the one it is served in.
    pub(crate) stream: std::net::TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) permit: ConnectionPermit,
    pub(crate) guard: Option<WorkerLoadGuard>,
}

/// Serves one connection to its end.
pub(crate) async fn serve<D: Dispatch>(
    accepted: Accepted,
    context: ConnectionContext<D>,
    handles: ShutdownHandles,
) {
    let peer = accepted.peer;
    let state = Arc::clone(accepted.permit.state());
    let ended = tokio::select! {
        ended = open(accepted, &context, handles) => ended,
        () = state.closing() => Err("it made room for others".into()),
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
        guard,
    } = accepted;
    let mut stream = TcpStream::from_std(stream)?;
    let mut from = PeerAddr::of(peer);
    let policy = &context.policy;
    // Answers are small; waiting to fill a segment only delays them.
    let _ = stream.set_nodelay(true);
    if policy.proxy_protocol {
        if !policy.is_proxy(peer.ip()) {
            return Err("the peer is no trusted proxy".into());
        }
        let header = proxy_protocol::read(&mut stream);
        from = match unless_stopped(&mut handles.stop, header).await?? {
            None => PeerAddr::caller(peer),
            Some(source) => {
                permit = permit
                    .passed_to(source.ip(), policy)
                    .ok_or("too many connections from this source")?;
                PeerAddr::of(source)
            }
        };
    }
    let from = (from, Arc::clone(permit.state()));
    let ended = match &policy.tls {
        None => http(stream, from, context, handles.watcher).await,
        Some(tls) => {
            let handshake = tls.acceptor().accept(stream);
            let handshake = tokio::time::timeout(policy.deadlines.head, handshake);
            let stream = unless_stopped(&mut handles.stop, handshake).await???;
            if stream.get_ref().1.alpn_protocol() == Some(tls::HTTP_2) {
                http2::serve(stream, from, context, (handles.watcher, handles.stop)).await
            } else {
                http(stream, from, context, handles.watcher).await
            }
        }
    };
    drop((permit, guard));
    ended
}

/// A connection on which nothing has been asked yet does not hold up the end.
async fn unless_stopped<T>(stop: &mut Stop, future: impl Future<Output = T>) -> Result<T, Cause> {
    tokio::select! {
        output = future => Ok(output),
        _ = stop.wait_for(Option::is_some) => Err("the gateway stops".into()),
    }
}

async fn http<S, D>(
    stream: S,
    (peer, state): (PeerAddr, Arc<ConnectionState>),
    context: &ConnectionContext<D>,
    watcher: Watcher,
) -> Result<(), Cause>
where
    D: Dispatch,
    S: AsyncRead + AsyncWrite + Abort + Unpin + Send + 'static,
{
    let deadlines = context.policy.deadlines;
    let stream = DeadlineStream::new(stream, Arc::clone(&state), deadlines);
    let service = service_fn(|request: http::Request<Incoming>| {
        let in_flight = ConnectionState::begin(&state);
        let request = request.map(|body| {
            // A read has none, as a rule, and what is not there needs no pace.
            if http_body::Body::is_end_stream(&body) {
                Body::empty()
            } else {
                Body::new(TimedBody::new(body, &state, deadlines))
            }
        });
        let answering = context.dispatch.call(Peer::new(peer, &state), request);
        async move {
            let response = answering.await;
            drop(in_flight);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Its clock runs through the rest between two requests as well; ours tells the two apart.
        .header_read_timeout(None)
        // A client may close its side once it has asked, as old ones do; one that is gone shows when it is written to.
        .half_close(true)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    Ok(watcher.watch(connection).await?)
}
