//! Routes the requests of the public listener by their paths.

use std::pin::Pin;
use std::sync::Arc;

use adapter::{Code, Error, Way};
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{Method, Request};
use axum::response::Response;
use docs::Page;
use server::{Dispatch, Peer};

use crate::paths;
use crate::request::pipeline::{self, admit};
use crate::request::record::AccessRecord;
use crate::request::{event_stream, reply, token_endpoint, validate};
use crate::state::current::Runtime;
use crate::state::snapshot::Snapshot;

/// Dispatches the requests of the public listener.
#[derive(Clone)]
pub(crate) struct PublicRouter(pub(crate) Arc<Runtime>);

/// A response under way, boxed so that an idle connection reserves no memory for it.
type ResponseFuture = Pin<Box<dyn Future<Output = Response> + Send>>;

impl Dispatch for PublicRouter {
    /// Answers a request with the snapshot that is current when the request begins. A way in that is switched off has no path.
    /// Calls do not pass through axum's router, which costs five thousand instructions, an eighth of a cached read.
    fn call(&self, peer: Peer, request: Request<Body>) -> impl Future<Output = Response> + Send {
        let snapshot = self.0.snapshot();
        let way = paths::way_at(request.uri().path()).filter(|way| snapshot.is_open(*way));
        let response: ResponseFuture = match way {
            Some(way) => forward::boxed(|| pipeline::answer(snapshot, way, peer, request)),
            None => forward::boxed(|| other(Arc::clone(&self.0), snapshot, peer, request)),
        };
        response
    }
}

/// Answers a request on a path that is not the path of a way in.
async fn other(
    runtime: Arc<Runtime>,
    snapshot: Arc<Snapshot>,
    peer: Peer,
    request: Request<Body>,
) -> Response {
    let path = paths::other_at(request.uri().path());
    let is_open = match path {
        paths::TOKEN | paths::JWKS | paths::METADATA => snapshot.is_open(Way::Jwt),
        paths::EVENTS => snapshot.events().is_ok() && streams_are_open(&snapshot),
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
            adapter_jwt::metadata(&snapshot.public_url, |operation| snapshot.offers(operation))
        }),
        paths::EVENTS => event_stream::answer(runtime, snapshot, record).await,
        paths::DOCS => documentation(&snapshot, record),
        _ => not_found(&snapshot, record),
    }
}

/// Returns whether at least one way in is open whose callers authenticate with a header.
fn streams_are_open(snapshot: &Snapshot) -> bool {
    snapshot.is_open(Way::Basic) || snapshot.is_open(Way::Jwt)
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
    match admitted.and_then(|()| page(snapshot, &record.context.head)) {
        Ok(page) => reply::page(&mut record, page),
        Err(error) => reply::refuse(&mut record, &error),
    }
}

fn page(snapshot: &Snapshot, head: &Parts) -> Result<Page, Error> {
    let (path, query) = (head.uri.path(), head.uri.query());
    let page = docs::page(&snapshot.public_interface(), path, query);
    let page = page.map_err(|cause| Error::refused(Code::InternalError).because(cause))?;
    page.ok_or_else(|| Error::refused(Code::NotFound))
}

/// Admits a caller to a document that every caller may read.
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
