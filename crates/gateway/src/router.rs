//! Where requests go: the public listener's by their paths, the operators' to the console.

use std::pin::Pin;
use std::sync::Arc;

use adapter::{Code, Error, Way};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use http::{Method, Request};
use server::{Dispatch, Peer};

use crate::docs;
use crate::paths;
use crate::request::pipeline::{self, admit};
use crate::request::record::AccessRecord;
use crate::request::{reply, token_endpoint, validate};
use crate::state::current::Runtime;
use crate::state::snapshot::Snapshot;

/// Where a listener sends its requests.
#[derive(Clone)]
pub(crate) enum Dispatcher {
    /// The public listener's.
    Public(Arc<Runtime>),
    /// The operators' listener's.
    Operators(Router),
}

/// A response under way, boxed so that an idle connection reserves no memory for it.
type ResponseFuture = Pin<Box<dyn Future<Output = Response> + Send>>;

impl Dispatch for Dispatcher {
    fn call(&self, peer: Peer, request: Request<Body>) -> impl Future<Output = Response> + Send {
        match self {
            Dispatcher::Public(runtime) => public(runtime.snapshot(), peer, request),
            Dispatcher::Operators(router) => operators(router.clone(), &peer, request),
        }
    }
}

/// Answers a request of the public listener under the snapshot that is current when it begins. A way in that is switched off
/// has no path. Calls do not go through axum's router, which costs five thousand instructions, an eighth of a cached read.
fn public(snapshot: Arc<Snapshot>, peer: Peer, request: Request<Body>) -> ResponseFuture {
    let way = paths::way_at(request.uri().path()).filter(|way| snapshot.is_open(*way));
    match way {
        Some(way) => Box::pin(pipeline::answer(snapshot, way, peer, request)),
        None => Box::pin(other(snapshot, peer, request)),
    }
}

fn operators(mut router: Router, peer: &Peer, mut request: Request<Body>) -> ResponseFuture {
    // The console knows a peer by axum's type.
    let address = ConnectInfo(peer.addr.address);
    request.extensions_mut().insert(address);
    let answering = tower_service::Service::call(&mut router, request);
    Box::pin(async move { answering.await.unwrap_or_else(|never| match never {}) })
}

/// Answers a request on a path that is not the path of a way in.
async fn other(snapshot: Arc<Snapshot>, peer: Peer, request: Request<Body>) -> Response {
    let path = paths::other_at(request.uri().path());
    let is_open = match path {
        paths::TOKEN | paths::JWKS | paths::METADATA => snapshot.is_open(Way::Jwt),
        paths::DOCS => snapshot.docs,
        _ => true,
    };
    let path = if is_open { path } else { paths::UNKNOWN };
    let (head, body) = request.into_parts();
    let record = AccessRecord::begin(&snapshot, path, peer, head);
    match path {
        paths::TOKEN => token_endpoint::answer(&snapshot, record, body).await,
        paths::JWKS => document(&snapshot, record, Snapshot::jwks),
        paths::METADATA => document(&snapshot, record, |snapshot| {
            adapter_jwt::metadata(&snapshot.public_url)
        }),
        paths::DOCS => documentation(&snapshot, record),
        _ => not_found(&snapshot, record),
    }
}

/// Answers with a document that is the same for every caller.
fn document(
    snapshot: &Snapshot,
    mut record: AccessRecord,
    text: impl Fn(&Snapshot) -> String,
) -> Response {
    match admit_to_read(snapshot, &mut record) {
        Ok(()) => reply::document(&mut record, "application/json", text(snapshot)),
        Err(error) => reply::refuse(&mut record, &error),
    }
}

fn documentation(snapshot: &Snapshot, mut record: AccessRecord) -> Response {
    let admitted = admit_to_read(snapshot, &mut record);
    match admitted.and_then(|()| docs::page(snapshot, &record.context.head)) {
        Ok(page) => docs::respond(&mut record, page),
        Err(error) => reply::refuse(&mut record, &error),
    }
}

/// Admits a caller to what every caller may read.
fn admit_to_read(snapshot: &Snapshot, record: &mut AccessRecord) -> Result<(), Error> {
    admit(snapshot, record)?;
    match record.context.head.method {
        Method::GET | Method::HEAD => Ok(()),
        _ => Err(Error::refused(Code::HttpMethodNotAllowed)),
    }
}

fn not_found(snapshot: &Snapshot, mut record: AccessRecord) -> Response {
    let admitted = admit(snapshot, &mut record);
    let head = &record.context.head;
    if admitted.is_ok() && validate::is_for_the_whole_server(head) {
        return reply::options(&mut record);
    }
    let checked = admitted.and_then(|()| validate::target(head));
    let error = checked
        .err()
        .unwrap_or_else(|| Error::refused(Code::NotFound));
    reply::refuse(&mut record, &error)
}
