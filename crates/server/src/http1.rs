//! Serves HTTP/1.1 on a connection, one request after the other. A connection that is idle for a while rests: hyper's part of it
//! ends and frees its buffers, and a new one begins when the peer sends something.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use axum::body::Body;
use http::header::CONNECTION;
use http::{HeaderValue, Response};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::task::unconstrained;

use crate::connection_state::{ConnectionState, InFlight};
use crate::context::{Cause, ConnectionContext, ShutdownHandles};
use crate::deadline_stream::DeadlineStream;
use crate::dispatch::Dispatch;
use crate::peer::Peer;
use crate::policy::{HEAD_BYTES_MAX, Shutdown};
use crate::socket::Socket;
use crate::timed_body::TimedBody;
use crate::write_deadline::is_event_stream;

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
    // The listener waits until the watcher is dropped.
    let ShutdownHandles {
        watcher: _watcher,
        mut shutdown,
    } = handles;
    let deadlines = context.policy.deadlines;
    let mut stream = DeadlineStream::new(stream, Arc::clone(&peer.state), deadlines);
    loop {
        let Some(mut rested) = serve_until_rest(stream, peer, context, &mut shutdown).await? else {
            return Ok(());
        };
        tokio::select! {
            // A request that has already arrived is answered, even if the shutdown has begun.
            biased;
            readable = rested.readable() => readable?,
            _ = shutdown.requested() => {
                // The peer may already have disconnected; then the goodbye has no recipient.
                let _ = rested.shutdown().await;
                return Ok(());
            }
        }
        stream = rested;
    }
}

/// Ends the request with its answer. If the service is still producing the body, the request ends when the body is dropped, because
/// until then the server does not wait for the peer. A complete body has already left the service and needs no wrapper.
fn while_answered(response: Response<Body>, in_flight: InFlight) -> Response<Body> {
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    if is_event_stream(&response) {
        in_flight.mark_event_stream();
    }
    response.map(|body| {
        Body::new(body.map_frame(move |frame| {
            let _held = &in_flight;
            frame
        }))
    })
}

/// Serves requests until the connection ends or rests. Returns the stream of a connection that rests.
async fn serve_until_rest<S, D>(
    stream: DeadlineStream<S>,
    peer: &Peer,
    context: &ConnectionContext<D>,
    shutdown: &mut Shutdown,
) -> Result<Option<DeadlineStream<S>>, Cause>
where
    D: Dispatch,
    S: AsyncRead + AsyncWrite + Socket + Unpin + Send + 'static,
{
    let deadlines = context.policy.deadlines;
    let is_last = &AtomicBool::new(false);
    let service = service_fn(|request: http::Request<Incoming>| {
        let in_flight = ConnectionState::begin(&peer.state);
        let request = request.map(|body| TimedBody::wrap(body, &peer.state, deadlines));
        let response = context.dispatch.call(peer.clone(), request);
        async move {
            let mut response = while_answered(response.await, in_flight);
            if is_last.load(Ordering::Relaxed) {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // hyper's deadline would also run between two requests; `DeadlineStream` distinguishes the two.
        .header_read_timeout(None)
        // A client may close its side after its request, as old clients do. If the client has disconnected entirely, the next write
        // fails.
        .half_close(true)
        // hyper's default limit is already HEADERS_MAX lines. Setting the limit explicitly would make each request initialize room
        // for all of them, which costs 1,700 instructions.
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // In a box, because the task of a connection that rests must not be as large as this future.
    let mut connection = Box::new(connection);
    let announced = shutdown.clone();
    // Exempt from tokio's budget, so that a pending poll always means that this future waits for the shutdown.
    let mut leaving = pin!(unconstrained(async {
        shutdown.announced().await;
        is_last.store(true, Ordering::Relaxed);
        shutdown.requested().await;
    }));
    let (mut waits, mut leaves) = (false, false);
    let waker = Waker::from(Arc::clone(&peer.state));
    let ended = poll_fn(|cx| {
        // Polled only when its result may have changed, because each poll costs 200 instructions.
        if !leaves && (!waits || announced.is_sent()) && leaving.as_mut().poll(cx).is_ready() {
            leaves = true;
            Pin::new(&mut *connection).graceful_shutdown();
        }
        waits = true;
        peer.state.poll(cx, || {
            let mut cx = Context::from_waker(&waker);
            match Pin::new(&mut *connection).poll(&mut cx) {
                Poll::Ready(ended) => Poll::Ready(Some(ended)),
                Poll::Pending if peer.state.take_rest_request() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        })
    });
    if let Some(ended) = ended.await {
        ended?;
        return Ok(None);
    }
    let parts = connection.into_parts();
    Ok(Some(parts.io.into_inner().with_unread(&parts.read_buf)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::stream;
    use http::header::CONTENT_LENGTH;

    use super::*;

    #[tokio::test]
    async fn a_request_is_in_flight_until_the_service_has_produced_its_answer() {
        let pieces = || [Ok::<_, Infallible>(Bytes::from_static(b"piece"))];
        let stream = || Body::from_stream(stream::iter(pieces()));
        for (body, length, is_held) in [
            (Body::from("whole"), None, false),
            (stream(), Some(5), true),
            (stream(), None, true),
        ] {
            let state = Arc::default();
            let mut response = Response::new(body);
            if let Some(bytes) = length {
                response.headers_mut().insert(CONTENT_LENGTH, bytes.into());
            }
            let response = while_answered(response, ConnectionState::begin(&state));
            let mut body = response.into_body();
            body.frame().await.unwrap().unwrap();
            assert_eq!(state.epoch().is_busy(), is_held, "{length:?}");
            // The wait for the peer begins as soon as the service has produced the whole answer.
            assert_eq!(state.waited().is_none(), is_held);
            drop(body);
            assert!(!state.epoch().is_busy() && state.waited().is_some());
        }
    }
}
