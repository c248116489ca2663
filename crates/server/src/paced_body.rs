//! The body of an HTTP/2 answer, which is handed over to hyper in small pieces.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
use http::Response;
use http::header::CONTENT_LENGTH;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;

use crate::connection_state::InFlight;
use crate::policy::Deadlines;

/// Size of the largest frame, in bytes: the smallest maximum that the protocol allows.
pub(crate) const FRAME_BYTES_MAX: u32 = 16 * 1024;

/// The body of an answer. Its request is under way until hyper has taken the whole body or the peer has reset the stream. hyper
/// passes on a whole piece as soon as the peer has room for one byte of it, and then asks for the next piece. Therefore each piece
/// must be small.
pub(crate) struct PacedBody {
    body: Body,
    rest: Bytes,
    in_flight: InFlight,
    deadlines: Deadlines,
    /// The time at which the answer began; `None` for an answer without an end, whose pieces each have their own time.
    since: Option<Instant>,
    /// Number of bytes that were handed over.
    handed_over: u64,
}

impl PacedBody {
    /// Wraps the body of an answer and gives the peer time for its first piece.
    pub(crate) fn new(
        response: Response<Body>,
        mut in_flight: InFlight,
        deadlines: Deadlines,
    ) -> Response<PacedBody> {
        let now = Instant::now();
        let piece = u64::from(FRAME_BYTES_MAX);
        let bytes = http_body::Body::size_hint(response.body()).exact();
        let first = bytes.map_or(piece, |bytes| bytes.min(piece));
        in_flight.set_deadline(deadlines.next_piece(now, now, first));
        let since = (!is_endless(&response)).then_some(now);
        response.map(|body| PacedBody {
            body,
            rest: Bytes::new(),
            in_flight,
            deadlines,
            since,
            handed_over: 0,
        })
    }

    /// Gives the peer time for the next piece of `bytes` bytes, because it has taken the previous pieces.
    fn pace(&mut self, bytes: usize) {
        let is_first = self.handed_over == 0;
        self.handed_over += bytes as u64;
        match self.since {
            // The time for the first piece began with the answer. Most answers have no other piece.
            Some(_) if is_first => {}
            Some(since) => {
                let now = Instant::now();
                let deadline = self.deadlines.next_piece(since, now, self.handed_over);
                self.in_flight.set_deadline(deadline);
            }
            None => self
                .in_flight
                .set_deadline(Instant::now() + self.deadlines.write),
        }
    }
}

/// Returns whether an answer may continue indefinitely: neither its body nor its head states a length.
fn is_endless(response: &Response<Body>) -> bool {
    // The check of the body comes first, because it costs less.
    let length = http_body::Body::size_hint(response.body()).exact();
    length.is_none() && !response.headers().contains_key(CONTENT_LENGTH)
}

impl http_body::Body for PacedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.rest.is_empty() {
            let frame = Pin::new(&mut self.body).poll_frame(cx);
            if frame.is_pending() && self.since.is_none() {
                // The service has nothing to send, so the server does not wait for the peer.
                self.in_flight.clear_deadline();
            }
            match ready!(frame) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        let length = self.rest.len().min(FRAME_BYTES_MAX as usize);
        self.pace(length);
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::time::Duration;

    use futures_util::stream;
    use http_body_util::BodyExt;

    use super::*;
    use crate::connection_state::ConnectionState;

    fn of(body: Body, length: Option<u64>, state: &Arc<ConnectionState>) -> PacedBody {
        let mut response = Response::new(body);
        if let Some(bytes) = length {
            response.headers_mut().insert(CONTENT_LENGTH, bytes.into());
        }
        let deadlines = Deadlines::default();
        let in_flight = ConnectionState::begin_within(state, deadlines.request);
        PacedBody::new(response, in_flight, deadlines).into_body()
    }

    fn endless_body() -> Body {
        let piece = Ok::<_, Infallible>(Bytes::from_static(b":\n\n"));
        let pieces = stream::iter([piece]);
        Body::from_stream(futures_util::StreamExt::chain(pieces, stream::pending()))
    }

    #[tokio::test(start_paused = true)]
    async fn an_endless_answer_has_a_deadline_only_while_data_waits_for_the_peer() {
        let state = Arc::default();
        let mut body = of(endless_body(), None, &state);
        assert!(state.deadline().is_some());
        body.frame().await.unwrap().unwrap();
        assert!(state.deadline().is_some());
        assert!(futures_util::FutureExt::now_or_never(body.frame()).is_none());
        assert_eq!(state.deadline(), None);
        assert!(state.epoch().is_busy());
        drop(body);
        assert!(!state.epoch().is_busy());
    }

    #[tokio::test(start_paused = true)]
    async fn a_finite_answer_keeps_its_deadline() {
        let state = Arc::default();
        let mut body = of(endless_body(), Some(30), &state);
        body.frame().await.unwrap().unwrap();
        assert!(futures_util::FutureExt::now_or_never(body.frame()).is_none());
        assert!(state.deadline().is_some());
        assert!(!is_endless(&Response::new(Body::from("whole"))));
    }

    const PIECE: usize = FRAME_BYTES_MAX as usize;

    /// Returns the number of pieces of an answer that the peer takes before its connection is closed, at most `pieces`. The length
    /// stands in the head, not in the body, as for a large answer.
    async fn pieces_read_before_deadline(
        pieces: usize,
        pause: impl Fn(usize) -> Duration,
    ) -> usize {
        let state = Arc::default();
        // The service may produce two pieces in one.
        let body = (0..pieces / 2).map(|_| Ok::<_, Infallible>(Bytes::from(vec![b'x'; 2 * PIECE])));
        let length = Some((pieces * PIECE) as u64);
        let mut body = of(Body::from_stream(stream::iter(body)), length, &state);
        for taken in 0..pieces {
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap().len(), PIECE);
            tokio::time::advance(pause(taken)).await;
            if state.deadline().is_some_and(|at| at < Instant::now()) {
                return taken;
            }
        }
        assert!(body.frame().await.is_none());
        pieces
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_answer_times_out_only_if_the_peer_reads_too_slowly() {
        let at_pace = Duration::from_secs(16);
        assert_eq!(pieces_read_before_deadline(256, |_| at_pace).await, 256);
        // First a peer that is too slow on average, then one whose single pause is too long.
        let slow = Duration::from_secs(20);
        assert_eq!(pieces_read_before_deadline(256, |_| slow).await, 7);
        let stops = |taken| Duration::from_secs(if taken < 200 { 0 } else { 415 });
        assert_eq!(pieces_read_before_deadline(256, stops).await, 200);
    }
}
