//! The one thing that this crate asks of its user.

use axum::body::Body;
use http::{Request, Response};

use crate::peer::Peer;

/// Answers the requests of a listener.
pub trait Dispatch: Clone + Send + Sync + 'static {
    /// Answers one request of this peer. The future is dropped if the peer abandons the request.
    fn call(
        &self,
        peer: Peer,
        request: Request<Body>,
    ) -> impl Future<Output = Response<Body>> + Send;
}
