//! What a listener leads to.

use axum::body::Body;
use http::{Request, Response};

use crate::peer::Peer;

/// Answers the requests of a listener.
pub trait Dispatch: Clone + Send + Sync + 'static {
    /// Answers one request of this peer. Dropped when the peer gives the request up.
    fn call(
        &self,
        peer: Peer,
        request: Request<Body>,
    ) -> impl Future<Output = Response<Body>> + Send;
}
