//! The body of an HTTP/2 answer, handed over in small pieces.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::Response;
use http::header::CONTENT_LENGTH;
use http_body::{Frame, SizeHint};

use crate::connection_state::InFlight;
use crate::policy::Deadlines;

/// Largest frame: the minimum that the protocol allows.
pub(crate) const FRAME_BYTES_MAX: u32 = 16 * 1024;

/// The body of an answer. Its request is under way until all of it is handed over or the peer has reset the stream. hyper
/// takes a piece whole as soon as the peer has room for one byte of it, so that each piece has to be small.
pub(crate) struct PacedBody {
    body: Body,
    rest: Bytes,
    in_flight: InFlight,
    /// How long the peer may take for a piece of an answer that goes on and on; `None` for an answer with an end.
    endless: Option<Duration>,
}

impl PacedBody {
    /// Wraps the body of an answer, and gives its request the time that this body may take.
    pub(crate) fn new(
        response: Response<Body>,
        mut in_flight: InFlight,
        deadlines: Deadlines,
    ) -> Response<PacedBody> {
        let endless = is_endless(&response).then_some(deadlines.write);
        let bytes = http_body::Body::size_hint(response.body()).lower();
        in_flight.set_deadline(deadlines.write + deadlines.earned(bytes));
        response.map(|body| PacedBody {
            body,
            rest: Bytes::new(),
            in_flight,
            endless,
        })
    }

    /// Gives the peer time for the next piece, or none while the service has nothing to send: hyper asks for a piece when
    /// the peer has room for it.
    fn pace(&mut self, has_piece: bool) {
        match self.endless {
            Some(allowed) if has_piece => self.in_flight.set_deadline(allowed),
            Some(_) => self.in_flight.clear_deadline(),
            None => {}
        }
    }
}

/// Whether an answer goes on for as long as its service likes: nobody has said how long it is.
pub(crate) fn is_endless(response: &Response<Body>) -> bool {
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
            self.pace(frame.is_ready());
            match ready!(frame) {
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Arc;

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
}
