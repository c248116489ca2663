//! The body of a request. It enforces a minimum pace, and notes when it is dropped before its end.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::connection_state::ConnectionState;
use crate::policy::Deadlines;

/// The body of a request, with a deadline.
pub(crate) struct TimedBody<B: Body = Incoming> {
    body: B,
    state: Arc<ConnectionState>,
    deadlines: Deadlines,
    /// Number of bytes that have arrived.
    bytes: u64,
    /// The time since which the service waits for the body, and the timer of its deadline. Nearly every body has arrived before it
    /// is polled and needs no timer.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    is_late: bool,
}

/// The reason why a body ended early.
#[derive(Debug)]
pub enum RequestBodyError {
    /// The body came too slowly.
    Late,
    /// The connection failed.
    Connection(hyper::Error),
}

impl std::fmt::Display for RequestBodyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RequestBodyError::Late => f.write_str("the body arrived too slowly"),
            RequestBodyError::Connection(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RequestBodyError {}

impl From<hyper::Error> for RequestBodyError {
    fn from(error: hyper::Error) -> RequestBodyError {
        RequestBodyError::Connection(error)
    }
}

impl TimedBody {
    /// Wraps the body of a request on this connection. Most requests are reads without a body, which needs no deadline.
    pub(crate) fn wrap(
        body: Incoming,
        state: &Arc<ConnectionState>,
        deadlines: Deadlines,
    ) -> axum::body::Body {
        if body.is_end_stream() {
            axum::body::Body::empty()
        } else {
            axum::body::Body::new(TimedBody::new(body, state, deadlines))
        }
    }
}

impl<B: Body> TimedBody<B> {
    fn new(body: B, state: &Arc<ConnectionState>, deadlines: Deadlines) -> TimedBody<B> {
        TimedBody {
            body,
            state: Arc::clone(state),
            deadlines,
            bytes: 0,
            waiting: None,
            is_late: false,
        }
    }

    /// Completes when the body is late: its time is over, including the time that its bytes have earned.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Deadlines { body, .. } = self.deadlines;
        let (since, timer) = self
            .waiting
            .get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(body))));
        let deadline = *since + body + self.deadlines.time_for(self.bytes);
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx)
    }
}

impl<B> Body for TimedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    RequestBodyError: From<B::Error>,
{
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let this = &mut *self;
        let taken = this.state.take_piece(|| {
            let frame = Pin::new(&mut this.body).poll_frame(cx);
            (frame, this.body.is_end_stream())
        });
        if let Poll::Ready(frame) = taken {
            if let Some(Ok(frame)) = &frame {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                this.bytes += bytes;
                this.state.count_body(bytes);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(RequestBodyError::from)));
        }
        this.state.wait_for_body();
        ready!(this.poll_late(cx));
        this.is_late = true;
        Poll::Ready(Some(Err(RequestBodyError::Late)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: Body> Drop for TimedBody<B> {
    fn drop(&mut self) {
        if self.waiting.is_some() {
            self.state.end_wait_for_body();
        }
        // The rest of a late body is not read, because a late peer gets no more time for useless bytes.
        if !self.body.is_end_stream() && !self.is_late {
            self.state.leave_body_unread();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use http_body_util::{BodyExt, Full};
    use tokio::time::{Interval, interval};

    use super::*;

    impl From<Infallible> for RequestBodyError {
        fn from(never: Infallible) -> RequestBodyError {
            match never {}
        }
    }

    /// An endless body with this many bytes per second.
    struct TricklingBody(Interval, usize);

    impl Body for TricklingBody {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            ready!(self.0.poll_tick(cx));
            Poll::Ready(Some(Ok(Frame::data(vec![b'x'; self.1].into()))))
        }
    }

    #[test]
    fn a_timed_body_reports_the_end_and_size_of_its_inner_body() {
        let state = Arc::default();
        let of = |bytes: &'static [u8]| {
            let body = Full::new(Bytes::from_static(bytes));
            TimedBody::new(body, &state, Deadlines::default())
        };
        let whole = of(b"abc");
        let said = (whole.is_end_stream(), whole.size_hint().exact());
        assert_eq!(said, (false, Some(3)));
        assert!(of(b"").is_end_stream());
        let late = RequestBodyError::Late.to_string();
        assert_eq!(late, "the body arrived too slowly");
    }

    async fn seconds_until_late(bytes_a_second: usize) -> Option<u64> {
        let state = Arc::default();
        let body = TricklingBody(interval(Duration::from_secs(1)), bytes_a_second);
        let mut body = TimedBody::new(body, &state, Deadlines::default());
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(100) {
            if let Some(Err(RequestBodyError::Late)) = body.frame().await {
                drop(body);
                assert!(!state.has_unread_body());
                return Some(began.elapsed().as_secs());
            }
        }
        drop(body);
        assert!(state.has_unread_body());
        None
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_body_below_the_minimum_pace_times_out() {
        assert_eq!(seconds_until_late(1).await, Some(10));
        assert_eq!(seconds_until_late(512).await, Some(20));
        assert_eq!(seconds_until_late(1024).await, None);
    }
}
