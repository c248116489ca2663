//! Every path of the public listener, in one list.

use std::sync::Arc;

use adapter::{Answer, Code, Error, Way, json_reply};
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::{MethodRouter, any};
use futures_util::future::Either;

use crate::client_addr::PeerAddr;
use crate::edge;
use crate::gate::Gate;
use crate::generations::Generations;
use crate::pipeline::{self, admit};
use crate::reply::{self, respond};
use crate::story::Story;
use crate::token_endpoint;

/// The paths that are the same for every caller.
pub(crate) const JWKS: &str = "/.well-known/jwks.json";
pub(crate) const METADATA: &str = "/.well-known/oauth-authorization-server";

/// Puts the list together. A request stays with the gate that is in force when it begins; a way that is switched off there
/// has no path.
pub(crate) fn router(generations: &Arc<Generations>) -> Router {
    let mut router = Router::new();
    for way in Way::ALL {
        let path = way.path();
        for path in [path, path.trim_end_matches('/')] {
            router = router.route(
                path,
                open(generations, way, move |gate, request| {
                    pipeline::answer(gate, way, peer(&request), request)
                }),
            );
        }
    }
    let token = open(generations, Way::Jwt, |gate, request| {
        token_endpoint::answer(gate, peer(&request), request)
    });
    let metadata = |gate: &Gate| adapter_jwt::metadata(&gate.public_url);
    let generations_of_rest = Arc::clone(generations);
    router
        .route(token_endpoint::PATH, token)
        .route(JWKS, document(generations, JWKS, Gate::jwks))
        .route(METADATA, document(generations, METADATA, metadata))
        .fallback(any(move |request| {
            nothing_here(generations_of_rest.gate(), request)
        }))
}

/// What answers on a path of a way in, as long as the way is switched on.
fn open<F>(
    generations: &Arc<Generations>,
    way: Way,
    answer: impl Fn(Arc<Gate>, http::Request<Body>) -> F + Clone + Send + Sync + 'static,
) -> MethodRouter
where
    F: Future<Output = Response> + Send + 'static,
{
    let generations = Arc::clone(generations);
    any(move |request| {
        let gate = generations.gate();
        if gate.is_open(way) {
            Either::Left(answer(gate, request))
        } else {
            Either::Right(nothing_here(gate, request))
        }
    })
}

/// A document of the JWT way, the same for every caller.
fn document(
    generations: &Arc<Generations>,
    route: &'static str,
    text: fn(&Gate) -> String,
) -> MethodRouter {
    open(generations, Way::Jwt, move |gate, request| async move {
        let peer = peer(&request);
        let (head, _) = request.into_parts();
        let mut story = Story::begin(&gate, (None, route), peer, &head);
        story.allow = "GET, HEAD";
        let admitted = admit(&gate, &mut story, &head).and_then(|()| {
            if matches!(head.method, http::Method::GET | http::Method::HEAD) {
                Ok(())
            } else {
                Err(Error::refused(Code::HttpMethodNotAllowed))
            }
        });
        match admitted {
            Ok(()) => reply::document(&mut story, "application/json", text(&gate)),
            Err(error) => {
                story.tell_walk(&head.headers, gate.trust());
                refuse(story, &error)
            }
        }
    })
}

async fn nothing_here(gate: Arc<Gate>, request: http::Request<Body>) -> Response {
    let peer = peer(&request);
    let (head, _) = request.into_parts();
    let mut story = Story::begin(&gate, (None, "(unknown)"), peer, &head);
    let admitted = admit(&gate, &mut story, &head);
    if admitted.is_ok() && edge::is_for_the_whole_server(&head) {
        return reply::options(&mut story);
    }
    let error = match admitted.and_then(|()| edge::target(&head)) {
        Ok(()) => Error::refused(Code::NotFound),
        Err(error) => error,
    };
    story.tell_walk(&head.headers, gate.trust());
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
    respond(&story, reply, Some(error))
}

/// The peer's address: the one thing that the listener hands over inside the request, taken out here and passed on as an
/// argument.
fn peer(request: &http::Request<Body>) -> PeerAddr {
    request
        .extensions()
        .get()
        .copied()
        .expect("the listener puts the peer's address into every request")
}
