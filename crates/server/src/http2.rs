//! Serves HTTP/2 on a connection whose TLS handshake has negotiated it. One connection carries many requests at the same time, so
//! the limits that HTTP/1.1 has by design must be set here.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use axum::body::Body;
use http::header::CONTENT_LENGTH;
use http::{Method, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::connection_state::ConnectionState;
use crate::context::{Cause, ConnectionContext, ShutdownHandles};
use crate::deadline_stream::DeadlineStream;
use crate::dispatch::Dispatch;
use crate::paced_body::{FRAME_BYTES_MAX, PacedBody};
use crate::peer::Peer;
use crate::policy::{HEAD_BYTES_MAX, HEADERS_MAX};
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
    // The listener waits until the watcher is dropped.
    let ShutdownHandles {
        watcher: _watcher,
        mut shutdown,
    } = handles;
    let mut connection = pin!(builder().serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        () = shutdown.announced() => {}
        () = peer.state.goaway_requested() => {}
    }
    // hyper sends GOAWAY and closes after the last answer. The stream ends if the peer is idle and does not react.
    peer.state.leave();
    connection.as_mut().graceful_shutdown();
    Ok(connection.await?)
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
    use std::time::Duration;

    use axum::Router;
    use axum::routing::get;
    use hyper_util::server::graceful::GracefulShutdown;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;
    use crate::peer::PeerAddr;
    use crate::policy::{ConnectionPolicy, Deadlines, Shutdown, ShutdownPhase};

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

    /// The beginning of a connection: the preface, SETTINGS with large windows, and GET.
    const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
        \x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x00\x20\x00\x00\
        \x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x20\x00\x00\
        \x00\x00\x06\x01\x05\x00\x00\x00\x01\x82\x87\x84\x41\x01x";

    /// Returns the length of the answer's body in these frames; `None` if the answer has no end.
    fn body_bytes(mut frames: &[u8]) -> Option<usize> {
        let mut bytes = 0;
        while let [a, b, c, kind, flags, _, _, _, stream, rest @ ..] = frames {
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            if (*kind, *stream) == (0, 1) {
                bytes += length;
                if flags & 1 != 0 {
                    return Some(bytes);
                }
            }
            frames = rest.get(length..)?;
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn a_steady_reader_gets_its_whole_answer_whatever_ends_its_connection() {
        const ANSWER: usize = 300 * 1024;
        // At this rate the buffered end of an answer takes longer than the idle time.
        const TAKEN_A_SECOND: usize = 1200;
        for is_shutdown in [false, true] {
            let (mut client, stream) = tokio::io::duplex(64 * 1024);
            let router = Router::new().route("/", get(|| async { "x".repeat(ANSWER) }));
            let (announce, shutdown) = Shutdown::channel();
            let serving = tokio::spawn(serve_router(stream, router, shutdown));
            client.write_all(HELLO).await.unwrap();
            let (mut taken, mut piece) = (Vec::new(), [0; TAKEN_A_SECOND]);
            taken.push(client.read_u8().await.unwrap());
            if is_shutdown {
                announce.send_replace(Some(ShutdownPhase::Announced));
            }
            let mut second = tokio::time::interval(Duration::from_secs(1));
            while let read @ 1.. = client.read(&mut piece).await.unwrap() {
                taken.extend_from_slice(&piece[..read]);
                second.tick().await;
            }
            assert_eq!(body_bytes(&taken), Some(ANSWER), "{is_shutdown}");
            drop(client);
            serving.await.unwrap().unwrap();
        }
    }

    /// Serves a router over a stream with the default policy.
    async fn serve_router(
        stream: DuplexStream,
        dispatch: Router,
        shutdown: Shutdown,
    ) -> Result<(), Cause> {
        let policy = ConnectionPolicy {
            deadlines: Deadlines::default(),
            connections_max: 1,
            per_address_max: 1,
            trusted_proxies: Vec::new(),
            proxy_protocol: false,
            tls: None,
        };
        let policy = Arc::new(policy);
        let peer = Peer {
            addr: PeerAddr::of(([127, 0, 0, 1], 1).into()),
            state: Arc::default(),
        };
        let watcher = GracefulShutdown::new().watcher();
        let handles = ShutdownHandles { watcher, shutdown };
        serve(
            stream,
            &peer,
            &ConnectionContext { dispatch, policy },
            handles,
        )
        .await
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
