//! Fault injection: produces the answer that the client gets instead of the right one.

use std::time::Duration;

use adapter::{Reply, Way};
use bytes::Bytes;
use futures_util::stream::{self, Stream};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;

use crate::answer::{Body, refusal_word, reply, respond, response, whole};
use crate::bomb::gzip_bomb;
use crate::connection_handle::ConnectionHandle;
use crate::faults::{Fault, FaultKind};

/// The time for which `no_answer` holds a connection: longer than any timeout of the gateway.
const NO_ANSWER: Duration = Duration::from_secs(60);

/// The size of a huge body in bytes: far beyond the 4 MiB that the gateway reads.
pub(crate) const HUGE_BYTES: usize = 100 * 1024 * 1024;

/// The size of a piece of a huge body, in bytes: large enough for few calls, small enough for little memory.
const HUGE_PIECE_BYTES: usize = 64 * 1024;

/// Applies a fault. `honest` is the right answer, present if the call was performed.
pub(crate) async fn inject_fault(
    fault: &Fault,
    way: Way,
    handle: &ConnectionHandle,
    honest: Option<Reply>,
) -> Response<Body> {
    let honest = honest.unwrap_or_else(|| reply(Bytes::new()));
    if fault.fault != FaultKind::SlowBody {
        tokio::time::sleep(fault.wait()).await;
    }
    match fault.fault {
        FaultKind::Latency => respond(honest),
        FaultKind::Http404 => page(StatusCode::NOT_FOUND),
        FaultKind::Http429 => page(StatusCode::TOO_MANY_REQUESTS),
        FaultKind::Http500 => page(StatusCode::INTERNAL_SERVER_ERROR),
        FaultKind::Http503 => page(StatusCode::SERVICE_UNAVAILABLE),
        FaultKind::ErrorCode => respond(refusal_word(way, fault.code.as_deref().unwrap_or(""))),
        FaultKind::Body => respond(reply(fault.body.clone().unwrap_or_default())),
        FaultKind::BrokenJson => respond(with_body(&honest, first_half(&honest.body))),
        FaultKind::Empty => respond(reply(Bytes::new())),
        FaultKind::SuccessLowercase => respond(with_body(&honest, lowercase(&honest.body))),
        FaultKind::Truncated => {
            let half = cut_off(first_half(&honest.body), None);
            with_content_length(honest.body.len(), &honest, half)
        }
        FaultKind::Reset | FaultKind::ResetAfter | FaultKind::Refused => handle.reset().await,
        FaultKind::ResetMidBody => {
            let half = cut_off(first_half(&honest.body), Some(handle.clone()));
            with_content_length(honest.body.len(), &honest, half)
        }
        FaultKind::NoAnswer => {
            tokio::time::sleep(NO_ANSWER).await;
            handle.reset().await
        }
        FaultKind::SlowBody => {
            let bytes = dribbled(honest.body.clone(), fault.wait());
            with_content_length(honest.body.len(), &honest, bytes)
        }
        FaultKind::Huge => with_content_length(HUGE_BYTES, &honest, huge()),
        FaultKind::GzipBomb => {
            let mut response = respond(with_body(&honest, gzip_bomb(HUGE_BYTES)));
            response
                .headers_mut()
                .insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response
        }
    }
}

/// Returns an error page like those of web servers and proxies.
fn page(status: StatusCode) -> Response<Body> {
    let html = format!("<html><body><h1>{status}</h1></body></html>\n");
    response(status, "text/html; charset=utf-8", whole(html))
}

fn with_body(honest: &Reply, body: impl Into<Bytes>) -> Reply {
    Reply {
        status: honest.status,
        content_type: honest.content_type,
        challenges: honest.challenges,
        body: body.into(),
        rest: None,
    }
}

fn first_half(body: &Bytes) -> Bytes {
    body.slice(..body.len() / 2)
}

fn lowercase(body: &Bytes) -> String {
    String::from_utf8_lossy(body)
        .replacen(r#""status":"SUCCESS""#, r#""status":"success""#, 1)
        .replacen(r#""status":"ERROR""#, r#""status":"error""#, 1)
}

/// Returns the head of the right answer with this Content-Length, followed by pieces whose total length may differ.
fn with_content_length(
    length: usize,
    honest: &Reply,
    pieces: impl Stream<Item = BodyFrame> + Send + 'static,
) -> Response<Body> {
    let mut response = respond(with_body(honest, Bytes::new()));
    *response.body_mut() = StreamBody::new(pieces).boxed_unsync();
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

type BodyFrame = Result<Frame<Bytes>, std::convert::Infallible>;

/// Streams one piece, which is flushed, and then either ends or resets the connection.
fn cut_off(piece: Bytes, handle: Option<ConnectionHandle>) -> impl Stream<Item = BodyFrame> {
    stream::unfold(Some(piece), move |piece| {
        let handle = handle.clone();
        async move {
            if let Some(piece) = piece {
                return Some((Ok(Frame::data(piece)), None));
            }
            // While this body is pending, hyper flushes its buffer.
            tokio::task::yield_now().await;
            match handle {
                Some(handle) => handle.reset().await,
                None => None,
            }
        }
    })
}

fn dribbled(body: Bytes, pause: Duration) -> impl Stream<Item = BodyFrame> {
    stream::unfold((body, true), move |(mut rest, is_first)| async move {
        if rest.is_empty() {
            return None;
        }
        if !is_first {
            tokio::time::sleep(pause).await;
        }
        let byte = rest.split_to(1);
        Some((Ok(Frame::data(byte)), (rest, false)))
    })
}

/// Streams white space, which a JSON parser reads to its end.
fn huge() -> impl Stream<Item = BodyFrame> {
    let piece = Bytes::from(vec![b' '; HUGE_PIECE_BYTES]);
    stream::unfold(HUGE_BYTES, move |left| {
        let piece = piece.slice(..left.min(HUGE_PIECE_BYTES));
        async move {
            (left > 0).then(|| {
                let left = left - piece.len();
                (Ok(Frame::data(piece)), left)
            })
        }
    })
}
