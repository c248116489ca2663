//! A request's body that tells the connection when it was not read to its end.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::watched::Activity;

/// The body.
pub(crate) struct Inbound {
    body: Incoming,
    activity: Arc<Activity>,
}

impl Inbound {
    /// Wraps the body of a request on this connection.
    pub(crate) fn new(body: Incoming, activity: &Arc<Activity>) -> Inbound {
        Inbound {
            body,
            activity: Arc::clone(activity),
        }
    }
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Inbound {
    fn drop(&mut self) {
        if !self.body.is_end_stream() {
            self.activity.leave_unread();
        }
    }
}
