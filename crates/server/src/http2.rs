//! Serves HTTP/2 on a connection whose TLS handshake has negotiated it. One connection carries many requests at the same time, so
//! the limits that HTTP/1.1 has by design must be set here.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::header::CONTENT_LENGTH;
use http::{Method, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::connection_state::ConnectionState;
use crate::context::{Cause, ConnectionContext, ShutdownHandles};
use crate::deadline_stream::DeadlineStream;
use crate::dispatch::Dispatch;
use crate::paced_body::{FRAME_BYTES_MAX, PacedBody};
use crate::peer::Peer;
use crate::policy::{HEAD_BYTES_MAX, HEADERS_MAX, Shutdown};
use crate::socket::Socket;
use crate::timed_body::TimedBody;

/// Maximum number of concurrent requests on one connection. Browsers and their libraries expect to be allowed this many.
const STREAMS_MAX: u32 = 100;

/// Number of body bytes that a peer may send before the service asks for them, per stream and per connection. Most bodies are
/// smaller than the window of a stream. The window of the connection is the maximum that one connection can make the server hold.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;

/// Number of bytes of an answer that are buffered for sending on each stream.
const SEND_BYTES_MAX: usize = 64 * 1024;

/// The numbers of resets after which the connection ends: resets by the peer of streams that were not accepted yet, and resets by
/// this server because of the peer's mistakes ("rapid reset", CVE-2023-44487, and its mirror image, CVE-2025-8671).
const PENDING_RESETS_MAX: usize = 20;
const OWN_RESETS_MAX: usize = 100;

/// Maximum number of requests that a peer may abandon in excess of the answers that it waits for. A peer that abandons more
/// requests makes the server work for nothing.
const ABANDONED_MAX: u32 = 100;

/// Time that a peer without a request has to close after GOAWAY, and the interval at which the server checks whether a request is
/// under way.
const GOAWAY_GRACE: Duration = Duration::from_secs(1);
const GOAWAY_POLL: Duration = Duration::from_millis(100);

/// Serves the requests of one connection.
pub(crate) async fn serve<S, D>(
    stream: S,
    peer: &Peer,
    context: &ConnectionContext<D>,
    handles: ShutdownHandles,
) -> Result<(), Cause>
where
    D: Dispatch,
    S: AsyncRead + AsyncWrite + Socket + Unpin + Send + 'static,
{
    let deadlines = context.policy.deadlines;
    let stream = DeadlineStream::multiplexed(stream, Arc::clone(&peer.state), deadlines);
    let service = service_fn(|request: http::Request<Incoming>| {
        let allowed = deadlines.request + deadlines.write;
        let in_flight = ConnectionState::begin_within(&peer.state, allowed);
        let abandon_guard = AbandonGuard(Some(Arc::clone(&peer.state)));
        let is_too_long = request.headers().len() > HEADERS_MAX;
        let is_head = request.method() == Method::HEAD;
        let request = request.map(|body| TimedBody::wrap(body, &peer.state, deadlines));
        let (dispatch, peer) = (context.dispatch.clone(), peer.clone());
        async move {
            let response = if is_too_long {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                response
            } else {
                dispatch.call(peer, request).await
            };
            abandon_guard.disarm();
            let response = if is_head { head_of(response) } else { response };
            Ok::<_, Infallible>(PacedBody::new(response, in_flight, deadlines))
        }
    });
    let connection = builder().serve_connection(TokioIo::new(stream), service);
    // GOAWAY has two causes, so this connection has its own shutdown. The listener waits until the watcher is dropped.
    let ShutdownHandles {
        watcher: _watcher,
        shutdown,
    } = handles;
    let goaway = GracefulShutdown::new();
    let connection = goaway.watch(connection);
    tokio::select! {
        ended = connection => Ok(ended?),
        cause = leave(goaway, shutdown, &peer.state) => Err(cause.into()),
    }
}

/// Returns the answer to HEAD: without the body, but with the length of the body (RFC 9110, 9.3.2). hyper does this only over
/// HTTP/1.1. The length of an empty body is not announced (8.6), because the service may have left out the body that GET would
/// send.
fn head_of(mut response: Response<Body>) -> Response<Body> {
    let length = response.body().size_hint().exact();
    if let Some(bytes) = length.filter(|bytes| *bytes > 0) {
        let announced = response.headers_mut().entry(CONTENT_LENGTH);
        announced.or_insert(bytes.into());
    }
    response.map(|_| Body::empty())
}

/// Returns a builder of HTTP/2 connections that sets the limits.
fn builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_send_buf_size(SEND_BYTES_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(OWN_RESETS_MAX);
    builder
}

/// Sends GOAWAY when the shutdown of the listener is announced, or after too many rejected requests in a row. Completes with the
/// cause once the connection has closed. Also completes if the peer has no request under way after [`GOAWAY_GRACE`] and does not
/// close, because an idle peer does not react to GOAWAY.
async fn leave(
    goaway: GracefulShutdown,
    mut shutdown: Shutdown,
    state: &ConnectionState,
) -> &'static str {
    let cause = tokio::select! {
        () = shutdown.announced() => "the listener is shutting down",
        () = state.goaway_requested() => "too many requests were refused",
    };
    let at_rest = async {
        tokio::time::sleep(GOAWAY_GRACE).await;
        while state.epoch().is_busy() {
            tokio::time::sleep(GOAWAY_POLL).await;
        }
    };
    tokio::select! {
        () = goaway.shutdown() => {}
        () = at_rest => {}
    }
    cause
}

/// Counts a request as abandoned if the request is dropped before it has an answer.
struct AbandonGuard(Option<Arc<ConnectionState>>);

impl AbandonGuard {
    fn disarm(mut self) {
        if let Some(state) = self.0.take() {
            state.count_answered();
        }
    }
}

impl Drop for AbandonGuard {
    fn drop(&mut self) {
        if let Some(state) = self.0.take()
            && state.count_abandoned() > ABANDONED_MAX
        {
            state.evict();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_head_has_the_content_length_of_its_body() {
        let length_of = |body: Body, said: Option<u64>| {
            let mut response = Response::new(body);
            if let Some(bytes) = said {
                response.headers_mut().insert(CONTENT_LENGTH, bytes.into());
            }
            let head = head_of(response);
            assert_eq!(head.body().size_hint().exact(), Some(0));
            head.headers().get(CONTENT_LENGTH).cloned()
        };
        assert_eq!(length_of(Body::from("abc"), None), Some(3.into()));
        assert_eq!(length_of(Body::empty(), None), None);
        assert_eq!(length_of(Body::empty(), Some(5)), Some(5.into()));
    }

    #[test]
    fn a_peer_that_abandons_too_many_requests_is_disconnected() {
        let state = Arc::new(ConnectionState::default());
        let guard = || AbandonGuard(Some(Arc::clone(&state)));
        // Answers that it waited for before it abandoned any request do not count.
        guard().disarm();
        for _ in 0..ABANDONED_MAX {
            drop(guard());
        }
        assert!(!state.take_eviction());
        guard().disarm();
        drop(guard());
        assert!(!state.take_eviction());
        drop(guard());
        assert!(state.take_eviction());
    }
}
