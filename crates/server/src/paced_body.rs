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
use crate::write_deadline::{WriteDeadline, is_event_stream};

/// Size of the largest frame, in bytes: the smallest maximum that the protocol allows.
pub(crate) const FRAME_BYTES_MAX: u32 = 16 * 1024;

/// Size of the largest piece, in bytes.
const PIECE_BYTES_MAX: usize = FRAME_BYTES_MAX as usize;

/// The body of an answer. Its request is under way until hyper has taken the whole body or the peer has reset the stream. hyper
/// passes on a whole piece as soon as the peer has room for one byte of it, and then asks for the next piece. Therefore each piece
/// must be small.
pub(crate) struct PacedBody {
    body: Body,
    rest: Bytes,
    in_flight: InFlight,
    deadlines: Deadlines,
    write_deadline: WriteDeadline,
    wait: Wait,
    /// True if the answer may continue indefinitely.
    is_endless: bool,
    is_event_stream: bool,
}

/// The wait for a peer to take the next piece of an answer.
enum Wait {
    /// The time for the first piece began with the answer.
    First,
    /// The time for the next piece extends the time for the previous pieces.
    Next,
    /// The server does not wait, because the service has nothing to send.
    None,
}

impl PacedBody {
    /// Wraps the body of an answer and gives the peer time for its first piece.
    pub(crate) fn new(
        response: Response<Body>,
        mut in_flight: InFlight,
        deadlines: Deadlines,
    ) -> Response<PacedBody> {
        let now = Instant::now();
        let exact = http_body::Body::size_hint(response.body()).exact();
        let first = exact.map_or(PIECE_BYTES_MAX, |bytes| PIECE_BYTES_MAX.min(bytes as usize));
        let mut write_deadline = WriteDeadline::new(now);
        write_deadline.extend(now, first, &deadlines);
        in_flight.set_deadline(write_deadline.at(&deadlines));
        let (is_endless, is_event_stream) = (is_endless(&response), is_event_stream(&response));
        response.map(|body| PacedBody {
            body,
            rest: Bytes::new(),
            in_flight,
            deadlines,
            write_deadline,
            wait: Wait::First,
            is_endless,
            is_event_stream,
        })
    }

    /// Gives the peer time for the next piece of `bytes` bytes, because it has taken the previous pieces.
    fn pace(&mut self, bytes: usize) {
        let wait = std::mem::replace(&mut self.wait, Wait::Next);
        // Most answers have no other piece, and need no other deadline.
        if matches!(wait, Wait::First) {
            return;
        }
        let now = Instant::now();
        if matches!(wait, Wait::None) {
            self.write_deadline.start(now);
        }
        if self.is_event_stream {
            self.write_deadline = WriteDeadline::new(now);
        } else {
            self.write_deadline.extend(now, bytes, &self.deadlines);
        }
        let deadline = self.write_deadline.at(&self.deadlines);
        self.in_flight.set_deadline(deadline);
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
            if frame.is_pending() && self.is_endless {
                self.in_flight.clear_deadline();
                self.wait = Wait::None;
            }
            match ready!(frame) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                end => return Poll::Ready(end),
            }
        }
        let length = self.rest.len().min(PIECE_BYTES_MAX);
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
    use tokio::sync::mpsc;

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

    /// Returns the number of pieces of an answer that the peer takes before its connection is closed, at most `pieces`. The length
    /// stands in the head, not in the body, as for a large answer.
    async fn pieces_read_before_deadline(
        pieces: usize,
        is_endless: bool,
        pause: impl Fn(usize) -> Duration,
    ) -> usize {
        let state = Arc::default();
        // The service may produce two pieces in one.
        let body = (0..pieces / 2)
            .map(|_| Ok::<_, Infallible>(Bytes::from(vec![b'x'; 2 * PIECE_BYTES_MAX])));
        let length = (!is_endless).then_some((pieces * PIECE_BYTES_MAX) as u64);
        let mut body = of(Body::from_stream(stream::iter(body)), length, &state);
        for taken in 0..pieces {
            let frame = body.frame().await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap().len(), PIECE_BYTES_MAX);
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
        for is_endless in [false, true] {
            let read = async |pause: fn(usize) -> u64| {
                let pause = |taken| Duration::from_secs(pause(taken));
                pieces_read_before_deadline(256, is_endless, pause).await
            };
            assert_eq!(read(|_| 16).await, 256);
            // hyper takes many pieces at once when the buffers below it have room again.
            assert_eq!(
                read(|taken| if taken % 20 == 19 { 320 } else { 0 }).await,
                256
            );
            // First a peer that is too slow on average, then one whose single pause is too long.
            assert_eq!(read(|_| 20).await, 7);
            assert_eq!(read(|taken| if taken < 200 { 0 } else { 415 }).await, 200);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_was_earned_before_a_service_had_nothing_to_send_is_over() {
        let state = Arc::default();
        let (sender, receiver) = mpsc::unbounded_channel();
        let pieces = stream::unfold(receiver, async |mut receiver| {
            let piece = receiver.recv().await?;
            Some((Ok::<_, Infallible>(piece), receiver))
        });
        let mut body = of(Body::from_stream(pieces), None, &state);
        let piece = || Bytes::from(vec![b'x'; PIECE_BYTES_MAX]);
        for _ in 0..20 {
            sender.send(piece()).unwrap();
            body.frame().await.unwrap().unwrap();
        }
        assert!(futures_util::FutureExt::now_or_never(body.frame()).is_none());
        tokio::time::advance(Duration::from_secs(3600)).await;
        sender.send(piece()).unwrap();
        body.frame().await.unwrap().unwrap();
        let left = state.deadline().unwrap() - Instant::now();
        assert_eq!(left.as_secs(), 30 + 16);
    }
}
