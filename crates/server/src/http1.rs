//! HTTP/1.1 on a connection: one request after the other.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::connection_state::ConnectionState;
use crate::context::{Cause, ConnectionContext};
use crate::deadline_stream::{Abort, DeadlineStream};
use crate::dispatch::Dispatch;
use crate::peer::Peer;
use crate::policy::{HEAD_BYTES_MAX, HEADERS_MAX};
use crate::timed_body::TimedBody;

/// Serves the requests of one connection.
pub(crate) async fn serve<S, D>(
    stream: S,
    peer: &Peer,
    context: &ConnectionContext<D>,
    watcher: Watcher,
) -> Result<(), Cause>
where
    D: Dispatch,
    S: AsyncRead + AsyncWrite + Abort + Unpin + Send + 'static,
{
    let deadlines = context.policy.deadlines;
    let stream = DeadlineStream::new(stream, Arc::clone(&peer.state), deadlines);
    let service = service_fn(|request: http::Request<Incoming>| {
        let in_flight = ConnectionState::begin(&peer.state);
        let request = request.map(|body| TimedBody::wrap(body, &peer.state, deadlines));
        let response = context.dispatch.call(peer.clone(), request);
        async move {
            let response = response.await;
            drop(in_flight);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // This deadline would also run between two requests; DeadlineStream tells the two apart.
        .header_read_timeout(None)
        // A client may close its side once it has asked, as old ones do. The next write notices one that has gone away.
        .half_close(true)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    Ok(watcher.watch(connection).await?)
}
