//! Every path of the public listener, in one list.

use std::sync::Arc;

use adapter::{Answer, Code, Error, Way, json_reply};
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::any;

use crate::client_addr::PeerAddr;
use crate::gate::Gate;
use crate::pipeline::{self, admit};
use crate::reply::{self, respond};
use crate::story::Story;
use crate::token_endpoint;

/// The paths that are the same for every caller.
const JWKS: &str = "/.well-known/jwks.json";
const METADATA: &str = "/.well-known/oauth-authorization-server";

/// Puts the list together. A way that is switched off has no path.
pub(crate) fn router(gate: &Arc<Gate>, enabled: [bool; 4]) -> Router {
    let mut router = Router::new();
    for (way, _) in Way::ALL
        .into_iter()
        .zip(enabled)
        .filter(|(_, enabled)| *enabled)
    {
        let path = way.path();
        for path in [path, path.trim_end_matches('/')] {
            let gate = Arc::clone(gate);
            router = router.route(
                path,
                any(move |request| pipeline::answer(gate, way, peer(&request), request)),
            );
        }
    }
    if enabled[Way::Jwt as usize] {
        let token = Arc::clone(gate);
        router = router
            .route(
                token_endpoint::PATH,
                any(move |request| token_endpoint::answer(token, peer(&request), request)),
            )
            .route(JWKS, document(gate, JWKS, Gate::jwks))
            .route(
                METADATA,
                document(gate, METADATA, |gate| {
                    adapter_jwt::metadata(&gate.public_url)
                }),
            );
    }
    let gate = Arc::clone(gate);
    router.fallback(any(move |request| nothing_here(gate, request)))
}

fn document(
    gate: &Arc<Gate>,
    route: &'static str,
    text: fn(&Gate) -> String,
) -> axum::routing::MethodRouter {
    let gate = Arc::clone(gate);
    any(move |request: http::Request<Body>| async move {
        let peer = peer(&request);
        let (head, _) = request.into_parts();
        let mut story = Story::begin(&gate.metrics, (None, route), peer, &head);
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
            Err(error) => refuse(story, &error),
        }
    })
}

async fn nothing_here(gate: Arc<Gate>, request: http::Request<Body>) -> Response {
    let peer = peer(&request);
    let (head, _) = request.into_parts();
    let mut story = Story::begin(&gate.metrics, (None, "(unknown)"), peer, &head);
    let error = match admit(&gate, &mut story, &head) {
        Ok(()) => Error::refused(Code::NotFound),
        Err(error) => error,
    };
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
