//! The body of an HTTP/2 answer, handed over in small pieces.

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

/// Largest frame: the minimum that the protocol allows.
pub(crate) const FRAME_BYTES_MAX: u32 = 16 * 1024;

/// The body of an answer. Its request is under way until all of it is handed over or the peer has reset the stream. hyper
/// hands a piece on whole as soon as the peer has room for one byte of it, so that each piece has to be small, and asks for the
/// next one then.
pub(crate) struct PacedBody {
    body: Body,
    rest: Bytes,
    in_flight: InFlight,
    deadlines: Deadlines,
    /// When an answer with an end began; `None` for one that goes on and on, whose pieces each have their time.
    since: Option<Instant>,
    /// What has been handed over, in bytes.
    handed_over: u64,
}

impl PacedBody {
    /// Wraps the body of an answer, and gives the peer time for its first piece.
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

    /// Gives the peer time for the next piece, of so many bytes: it has taken those before it.
    fn pace(&mut self, bytes: usize) {
        let is_first = self.handed_over == 0;
        self.handed_over += bytes as u64;
        match self.since {
            // It has had its time since the answer began. Most answers have no other.
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

/// Whether an answer goes on for as long as its service likes: nobody has said how long it is.
fn is_endless(response: &Response<Body>) -> bool {
    // The body is asked first, which costs less.
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
                // The service has nothing to send, and the peer is not waited for.
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

    fn one_piece_and_no_end() -> Body {
        let piece = Ok::<_, Infallible>(Bytes::from_static(b":\n\n"));
        let pieces = stream::iter([piece]);
        Body::from_stream(futures_util::StreamExt::chain(pieces, stream::pending()))
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_without_end_has_a_deadline_only_while_the_peer_has_to_take_something() {
        let state = Arc::default();
        let mut body = of(one_piece_and_no_end(), None, &state);
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
    async fn an_answer_with_an_end_keeps_its_deadline() {
        let state = Arc::default();
        let mut body = of(one_piece_and_no_end(), Some(30), &state);
        body.frame().await.unwrap().unwrap();
        assert!(futures_util::FutureExt::now_or_never(body.frame()).is_none());
        assert!(state.deadline().is_some());
        assert!(!is_endless(&Response::new(Body::from("whole"))));
    }

    const PIECE: usize = FRAME_BYTES_MAX as usize;

    /// How many of so many pieces of an answer the peer takes before its connection is cut off. The length is said beside
    /// the body, as that of a large answer is.
    async fn taken_within_its_time(pieces: usize, pause: impl Fn(usize) -> Duration) -> usize {
        let state = Arc::default();
        // Two pieces in one, as a service may give them.
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
    async fn a_long_answer_has_time_as_long_as_the_peer_takes_it_at_the_pace() {
        let at_pace = Duration::from_secs(16);
        assert_eq!(taken_within_its_time(256, |_| at_pace).await, 256);
        // Too slow on average, and too long at once.
        let slow = Duration::from_secs(20);
        assert_eq!(taken_within_its_time(256, |_| slow).await, 7);
        let stops = |taken| Duration::from_secs(if taken < 200 { 0 } else { 95 });
        assert_eq!(taken_within_its_time(256, stops).await, 200);
    }
}
