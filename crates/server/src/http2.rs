//! HTTP/2 on a connection that has agreed on it in the TLS handshake. One connection carries many requests there, so that
//! what bounds a connection by the number of requests at once, or by whose turn it is to send, has to be told anew.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::connection_state::{ConnectionState, InFlight};
use crate::context::{Cause, ConnectionContext};
use crate::deadline_stream::{Abort, DeadlineStream};
use crate::dispatch::Dispatch;
use crate::peer::{Peer, PeerAddr};
use crate::policy::{Deadlines, HEAD_BYTES_MAX, HEADERS_MAX, Stop};
use crate::timed_body::TimedBody;

/// Most requests at once on one connection: as many as browsers and their libraries expect to be allowed.
const STREAMS_MAX: u32 = 100;

/// How many bytes of bodies may be on their way unasked, for one request and for all of a connection: most bodies are under
/// the first, and the second is what a connection may make us hold.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 256 * 1024;

/// Largest frame: the protocol's own least.
const FRAME_BYTES_MAX: u32 = 16 * 1024;

/// How many bytes of answers are taken over for sending, for each request, before the peer has taken any.
const SEND_BYTES_MAX: usize = 64 * 1024;

/// Requests that were reset before they were looked at, and resets of our own for the peer's mistakes, that end the
/// connection ("rapid reset", CVE-2023-44487, and its mirror image, CVE-2025-8671).
const PENDING_RESETS_MAX: usize = 20;
const OWN_RESETS_MAX: usize = 100;

/// Requests that a peer may give up beyond those that it takes an answer to. Who gives up more has us work for nothing.
const ABANDONED_MAX: u32 = 100;

/// Once the gateway stops, a peer with nothing under way has so long to close.
const GOODBYE: Duration = Duration::from_secs(1);
const GOODBYE_LOOK: Duration = Duration::from_millis(100);

/// Serves the requests of one connection.
pub(crate) async fn serve<S, D>(
    stream: S,
    (peer, state): (PeerAddr, Arc<ConnectionState>),
    context: &ConnectionContext<D>,
    (watcher, stop): (Watcher, Stop),
) -> Result<(), Cause>
where
    D: Dispatch,
    S: AsyncRead + AsyncWrite + Abort + Unpin + Send + 'static,
{
    let deadlines = context.policy.deadlines;
    let stream = DeadlineStream::multiplexed(stream, Arc::clone(&state), deadlines);
    let service = service_fn(|request: http::Request<Incoming>| {
        let in_flight = ConnectionState::begin_until(&state, deadlines.request + deadlines.write);
        let abandoned = AbandonGuard(Some(Arc::clone(&state)));
        let is_too_long = request.headers().len() > HEADERS_MAX;
        let request = request.map(|body| Body::new(TimedBody::new(body, &state, deadlines)));
        let dispatch = context.dispatch.clone();
        let caller = Peer::new(peer, &state);
        async move {
            let response = if is_too_long {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
                response
            } else {
                dispatch.call(caller, request).await
            };
            abandoned.answered();
            Ok::<_, Infallible>(response.map(|body| PacedBody::new(body, in_flight, deadlines)))
        }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_send_buf_size(SEND_BYTES_MAX)
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(OWN_RESETS_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // It is told to go away by itself, and the listener waits for it as long as the watcher lives.
    let leaving = GracefulShutdown::new();
    let connection = leaving.watch(connection);
    let ended = tokio::select! {
        ended = connection => Ok(ended?),
        () = leave(leaving, stop.clone(), &state) => Ok(()),
        () = goodbye(stop, &state) => Err("the gateway stops".into()),
    };
    drop(watcher);
    ended
}

/// Says GOAWAY when the gateway stops, or when too many requests in a row were refused here; comes when the connection ends,
/// or is to be ended because its peer does not go away.
async fn leave(leaving: GracefulShutdown, mut stop: Stop, state: &ConnectionState) {
    let stops = async {
        // Without a sender nobody stops it.
        if stop.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let is_refused = tokio::select! {
        () = stops => false,
        () = state.goodbye() => true,
    };
    let lingers = async {
        if !is_refused {
            std::future::pending::<()>().await;
        }
        linger(state).await;
    };
    tokio::select! {
        () = leaving.shutdown() => {}
        () = lingers => {}
    }
}

/// Comes when the gateway stops and nothing is under way: a peer that rests does not answer a goodbye either.
async fn goodbye(mut stop: Stop, state: &ConnectionState) {
    // Without a sender nobody stops it, and the connection goes on to its own end.
    if stop.wait_for(Option::is_some).await.is_err() {
        return std::future::pending().await;
    }
    linger(state).await;
}

/// A peer that rests does not answer a goodbye: comes when it has had time to, and nothing is under way.
async fn linger(state: &ConnectionState) {
    tokio::time::sleep(GOODBYE).await;
    while state.epoch().is_busy() {
        tokio::time::sleep(GOODBYE_LOOK).await;
    }
}

/// Tells when a request was given up by the peer before there was an answer.
struct AbandonGuard(Option<Arc<ConnectionState>>);

impl AbandonGuard {
    fn answered(mut self) {
        if let Some(state) = self.0.take() {
            state.answered();
        }
    }
}

impl Drop for AbandonGuard {
    fn drop(&mut self) {
        if let Some(state) = self.0.take()
            && state.abandoned() > ABANDONED_MAX
        {
            state.close();
        }
    }
}

/// An answer's body. Its request is under way until all of it is handed over, or the peer has given it up; and what is
/// handed over is a small piece each time, since the server below takes a piece whole once the peer wants a byte of it.
struct PacedBody {
    body: Body,
    rest: Bytes,
    _in_flight: InFlight,
}

impl PacedBody {
    fn new(body: Body, mut in_flight: InFlight, deadlines: Deadlines) -> PacedBody {
        let bytes = http_body::Body::size_hint(&body).lower();
        in_flight.until(deadlines.write + deadlines.earned(bytes));
        PacedBody {
            body,
            rest: Bytes::new(),
            _in_flight: in_flight,
        }
    }
}

impl http_body::Body for PacedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        let length = self.rest.len().min(FRAME_BYTES_MAX as usize);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        let mut hint = self.body.size_hint();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}
