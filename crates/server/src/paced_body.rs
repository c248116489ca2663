//! The body of an HTTP/2 answer, handed over in small pieces.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use bytes::Bytes;
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
    _in_flight: InFlight,
}

impl PacedBody {
    /// Wraps the body of an answer, and gives its request the time that this body may take.
    pub(crate) fn new(body: Body, mut in_flight: InFlight, deadlines: Deadlines) -> PacedBody {
        let bytes = http_body::Body::size_hint(&body).lower();
        in_flight.set_deadline(deadlines.write + deadlines.earned(bytes));
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
