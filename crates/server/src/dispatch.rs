//! The interface between this crate and the service that answers requests.

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{Request, Response};
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use crate::peer::Peer;

/// A service that answers the requests of a listener.
pub trait Dispatch: Clone + Send + Sync + 'static {
    /// Answers one request of this peer. The future is dropped if the peer abandons the request.
    fn call(
        &self,
        peer: Peer,
        request: Request<Body>,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// Passes the peer's address to the handlers of a router as axum's [`ConnectInfo`]. The handlers see nothing else of the peer.
impl Dispatch for Router {
    async fn call(&self, peer: Peer, mut request: Request<Body>) -> Response<Body> {
        let address = ConnectInfo(peer.addr.address);
        request.extensions_mut().insert(address);
        let answered = TowerToHyperService::new(self.clone()).call(request).await;
        answered.unwrap_or_else(|never| match never {})
    }
}
