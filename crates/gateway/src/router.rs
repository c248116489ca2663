//! Every path of the public listener, in one list.

use std::pin::Pin;
use std::sync::Arc;

use adapter::{Answer, Code, Error, Way, json_reply};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::Response;
use axum::routing::{MethodRouter, any};
use futures_util::future::Either;
use server::{Dispatch, Peer};

use crate::docs;
use crate::request::pipeline::{self, admit};
use crate::request::record::Story;
use crate::request::reply::{self, respond};
use crate::request::token_endpoint;
use crate::request::validate;
use crate::state::current::Runtime;
use crate::state::snapshot::Snapshot;

/// The paths that are the same for every caller.
pub(crate) const JWKS: &str = "/.well-known/jwks.json";
pub(crate) const METADATA: &str = "/.well-known/oauth-authorization-server";

/// Where a listener sends its requests.
#[derive(Clone)]
pub(crate) enum Dispatcher {
    /// The public one.
    Public(Arc<PublicState>),
    /// The operators'.
    Operators(Router),
}

/// What the public listener's paths share. A request keeps the snapshot that is current when it begins; a way in that is
/// switched off there has no path.
pub(crate) struct PublicState {
    runtime: Arc<Runtime>,
    /// All that is no way in.
    others: Router,
}

/// A response under way, boxed so that an idle connection reserves no memory for it.
type ResponseFuture = Pin<Box<dyn Future<Output = Response> + Send>>;

impl Dispatch for Dispatcher {
    fn call(
        &self,
        caller: Peer,
        request: http::Request<Body>,
    ) -> impl Future<Output = Response> + Send {
        self.answer(caller, request)
    }
}

impl Dispatcher {
    /// Answers one request.
    fn answer(&self, caller: Peer, mut request: http::Request<Body>) -> ResponseFuture {
        let router = match self {
            Dispatcher::Public(public) => {
                // By way of the router a call costs five thousand instructions more, an eighth of a cached read.
                if let Some(way) = way_at(request.uri().path()) {
                    let snapshot = public.runtime.snapshot();
                    return if snapshot.is_open(way) {
                        boxed(|| pipeline::answer(snapshot, way, caller, request))
                    } else {
                        Box::pin(nothing_here(snapshot, caller, request))
                    };
                }
                &public.others
            }
            Dispatcher::Operators(router) => {
                // The console does not know how we name a peer.
                let peer = ConnectInfo(caller.addr.address);
                request.extensions_mut().insert(peer);
                router
            }
        };
        request.extensions_mut().insert(caller);
        let answering = tower_service::Service::call(&mut router.clone(), request);
        Box::pin(async move { answering.await.unwrap_or_else(|never| match never {}) })
    }
}

/// The way in at a path, with or without the slash at its end.
fn way_at(path: &str) -> Option<Way> {
    let mut ways = Way::ALL.into_iter();
    ways.find(|way| path == way.path() || path == way.path().trim_end_matches('/'))
}

/// Puts the public listener's paths together.
pub(crate) fn public(runtime: &Arc<Runtime>) -> Dispatcher {
    let token = open(runtime, Way::Jwt, |snapshot, request| {
        token_endpoint::answer(snapshot, caller(&request), request)
    });
    let metadata = |snapshot: &Snapshot| adapter_jwt::metadata(&snapshot.public_url);
    let runtime_of_rest = Arc::clone(runtime);
    let mut others = Router::new();
    for path in docs::PATHS {
        others = others.route(path, documentation(runtime));
    }
    let others = others
        .route(token_endpoint::PATH, token)
        .route(JWKS, document(runtime, JWKS, Snapshot::jwks))
        .route(METADATA, document(runtime, METADATA, metadata))
        .fallback(any(move |request| {
            nothing_here(runtime_of_rest.snapshot(), caller(&request), request)
        }));
    let runtime = Arc::clone(runtime);
    Dispatcher::Public(Arc::new(PublicState { runtime, others }))
}

/// What answers on a path that belongs to a way in, as long as the way is switched on.
fn open<F>(
    runtime: &Arc<Runtime>,
    way: Way,
    answer: impl Fn(Arc<Snapshot>, http::Request<Body>) -> F + Clone + Send + Sync + 'static,
) -> MethodRouter
where
    F: Future<Output = Response> + Send + 'static,
{
    let runtime = Arc::clone(runtime);
    any(move |request| {
        let snapshot = runtime.snapshot();
        if snapshot.is_open(way) {
            Either::Left(answer(snapshot, request))
        } else {
            Either::Right(nothing_here(snapshot, caller(&request), request))
        }
    })
}

/// The documentation pages, as long as they are switched on.
fn documentation(runtime: &Arc<Runtime>) -> MethodRouter {
    let runtime = Arc::clone(runtime);
    any(move |request| {
        let snapshot = runtime.snapshot();
        if snapshot.docs {
            Either::Left(async move {
                let caller = caller(&request);
                let (head, _) = request.into_parts();
                let mut story = Story::begin(&snapshot, (None, docs::PATH), caller, &head);
                let page = shown(&snapshot, &mut story, &head);
                match page.and_then(|()| docs::page(&snapshot, &head)) {
                    Ok(page) => docs::respond(&mut story, page),
                    Err(error) => {
                        story.tell_walk(&head.headers, snapshot.trust());
                        refuse(story, &error)
                    }
                }
            })
        } else {
            Either::Right(nothing_here(snapshot, caller(&request), request))
        }
    })
}

/// Whether what is the same for every caller is shown to this one.
fn shown(snapshot: &Snapshot, story: &mut Story, head: &http::request::Parts) -> Result<(), Error> {
    story.allow = "GET, HEAD";
    admit(snapshot, story, head)?;
    if matches!(head.method, http::Method::GET | http::Method::HEAD) {
        Ok(())
    } else {
        Err(Error::refused(Code::HttpMethodNotAllowed))
    }
}

/// A document of the JWT way, the same for every caller.
fn document(
    runtime: &Arc<Runtime>,
    route: &'static str,
    text: fn(&Snapshot) -> String,
) -> MethodRouter {
    open(runtime, Way::Jwt, move |snapshot, request| async move {
        let caller = caller(&request);
        let (head, _) = request.into_parts();
        let mut story = Story::begin(&snapshot, (None, route), caller, &head);
        match shown(&snapshot, &mut story, &head) {
            Ok(()) => reply::document(&mut story, "application/json", text(&snapshot)),
            Err(error) => {
                story.tell_walk(&head.headers, snapshot.trust());
                refuse(story, &error)
            }
        }
    })
}

async fn nothing_here(
    snapshot: Arc<Snapshot>,
    caller: Peer,
    request: http::Request<Body>,
) -> Response {
    let (head, _) = request.into_parts();
    let mut story = Story::begin(&snapshot, (None, "(unknown)"), caller, &head);
    let admitted = admit(&snapshot, &mut story, &head);
    if admitted.is_ok() && validate::is_for_the_whole_server(&head) {
        return reply::options(&mut story);
    }
    let error = match admitted.and_then(|()| validate::target(&head)) {
        Ok(()) => Error::refused(Code::NotFound),
        Err(error) => error,
    };
    story.tell_walk(&head.headers, snapshot.trust());
    refuse(story, &error)
}

fn refuse(mut story: Story, error: &Error) -> Response {
    let request_id = story.request_id.clone();
    let answer = Answer {
        request_id: &request_id,
        operation: None,
        outcome: Err(error),
    };
    let reply = json_reply(&answer, error.code().status(), &[]);
    story.tell(reply.status, &answer);
    respond(&mut story, reply, Some(error))
}

/// The caller, taken out of the request and passed on as an argument: the router has no other way for them.
fn caller(request: &http::Request<Body>) -> Peer {
    request
        .extensions()
        .get()
        .cloned()
        .expect("Dispatcher::answer puts the caller into every request")
}
