//! The body of an answer: a long one is produced while it is taken, with its length announced beforehand.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use adapter::Rest;
use axum::body::Body;
use bytes::Bytes;
use forward::HeldAnswer;
use http_body::{Frame, SizeHint};

/// Builds the body with this beginning and rest. What is held for it is released when the last piece has been taken, or the
/// body is dropped.
pub(super) fn body(first: Bytes, rest: Option<Rest>, held: Option<HeldAnswer>) -> Body {
    if rest.is_none() && held.is_none() {
        return Body::from(first);
    }
    let first = Some(first).filter(|first| !first.is_empty());
    Body::new(PiecedBody {
        first,
        rest,
        _held: held,
    })
}

struct PiecedBody {
    first: Option<Bytes>,
    rest: Option<Rest>,
    _held: Option<HeldAnswer>,
}

impl PiecedBody {
    fn bytes(&self) -> u64 {
        let first = self.first.as_ref().map_or(0, Bytes::len);
        first as u64 + self.rest.as_ref().map_or(0, Rest::bytes)
    }
}

impl http_body::Body for PiecedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match self.first.take() {
            Some(first) => Some(first),
            None => self.rest.as_mut().and_then(Iterator::next),
        };
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes())
    }
}
