//! A request's body as a connection sees it: it has to come at a pace, and says when it was not read to its end.

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

/// The body.
pub(crate) struct TimedBody<B: Body = Incoming> {
    body: B,
    state: Arc<ConnectionState>,
    deadlines: Deadlines,
    /// What has come so far, in bytes.
    bytes: u64,
    /// Since when it has been waited for; nearly every body is there before anybody asks.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    is_late: bool,
}

/// Why a body ended early.
#[derive(Debug)]
pub enum RequestBodyError {
    /// It came too slowly.
    Late,
    /// What the connection says.
    Connection(hyper::Error),
}

impl std::fmt::Display for RequestBodyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RequestBodyError::Late => f.write_str("the body came too slowly"),
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

impl<B: Body> TimedBody<B> {
    /// Wraps the body of a request on this connection.
    pub(crate) fn new(body: B, state: &Arc<ConnectionState>, deadlines: Deadlines) -> TimedBody<B> {
        TimedBody {
            body,
            state: Arc::clone(state),
            deadlines,
            bytes: 0,
            waiting: None,
            is_late: false,
        }
    }

    /// Comes when the body is late: its time, and what it has earned by what has come.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Deadlines { body, .. } = self.deadlines;
        let (since, timer) = self
            .waiting
            .get_or_insert_with(|| (Instant::now(), Box::pin(tokio::time::sleep(body))));
        let deadline = *since + body + self.deadlines.earned(self.bytes);
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
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            if let Some(Ok(frame)) = &frame {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                this.bytes += bytes;
                this.state.note_body(bytes);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(RequestBodyError::from)));
        }
        this.state.waits_for_body();
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
            self.state.has_body();
        }
        // Who is late already gets no more time to send what nobody wants.
        if !self.body.is_end_stream() && !self.is_late {
            self.state.leave_unread();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use http_body_util::BodyExt;
    use tokio::time::{Interval, interval};

    use super::*;

    impl From<Infallible> for RequestBodyError {
        fn from(never: Infallible) -> RequestBodyError {
            match never {}
        }
    }

    /// So many bytes a second, for ever.
    struct Dribble(Interval, usize);

    impl Body for Dribble {
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

    async fn late_after(bytes_a_second: usize) -> Option<u64> {
        let state = Arc::default();
        let body = Dribble(interval(Duration::from_secs(1)), bytes_a_second);
        let mut body = TimedBody::new(body, &state, Deadlines::default());
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(100) {
            if let Some(Err(RequestBodyError::Late)) = body.frame().await {
                drop(body);
                assert!(!state.is_unread());
                return Some(began.elapsed().as_secs());
            }
        }
        drop(body);
        assert!(state.is_unread());
        None
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_has_its_time_and_what_it_earns_by_its_pace() {
        assert_eq!(late_after(1).await, Some(10));
        assert_eq!(late_after(512).await, Some(20));
        assert_eq!(late_after(1024).await, None);
    }
}
