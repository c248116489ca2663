//! The life of a request: admit → decode → authorize → forward → encode.
//!
//! The outer half never fails: it begins the story, lets the inner half work, tells the story and answers whatever
//! happened. The inner half is one verb a line, each with `?`.

use std::sync::Arc;

use adapter::{
    Adapter, Answer, Code, Credentials, Effect, Error, Request, Response as Success, Way, Wire,
};
use adapter_jwt::Scope;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use forward::{Circumstances, Claim, Forwarded};
use http::request::Parts;
use store::Access;

use crate::client_addr::{self, PeerAddr};
use crate::edge::{self, Wish};
use crate::gate::Gate;
use crate::reply;
use crate::story::Story;

/// What the inner half has found out: either an answer that needs no call, or a call that may be made.
enum Plan {
    Options,
    Wsdl,
    Call(Call),
}

struct Call {
    access: Arc<Access>,
    request: Arc<Request>,
    check_only: bool,
    no_cache: bool,
}

/// Answers one request of a way in.
pub(crate) async fn answer(
    gate: Arc<Gate>,
    way: Way,
    peer: PeerAddr,
    request: http::Request<Body>,
) -> Response {
    let (head, body) = request.into_parts();
    let mut story = Story::begin(&gate.metrics, Some(way), peer, &head);
    let plan = plan(&gate, &mut story, way, (&head, body)).await;
    match plan {
        Ok(Plan::Call(call)) if call.request.operation().effect != Effect::Read => {
            // A caller who hangs up does not stop what may already be on its way to a person.
            let error = || http_500();
            tokio::spawn(finish(gate, way, story, Ok(call)))
                .await
                .unwrap_or_else(|_| error())
        }
        Ok(Plan::Call(call)) => finish(gate, way, story, Ok(call)).await,
        Ok(Plan::Options) => told(&mut story, |story| reply::options(story)),
        Ok(Plan::Wsdl) => told(&mut story, |story| {
            reply::document(story, "text/xml; charset=utf-8", gate.wsdl.clone())
        }),
        Err(error) => finish(gate, way, story, Err(error)).await,
    }
}

/// The inner half up to the point where something may happen outside.
async fn plan(
    gate: &Gate,
    story: &mut Story,
    way: Way,
    (head, body): (&Parts, Body),
) -> Result<Plan, Error> {
    let adapter = gate.adapter(way);
    let (query, empty) = (head.uri.query().unwrap_or_default(), Bytes::new());
    story.dialect = adapter.dialect(&Wire {
        query,
        headers: &head.headers,
        body: &empty,
    });
    admit(gate, story, head)?;
    match edge::wish(way, head)? {
        Wish::Options => return Ok(Plan::Options),
        Wish::Wsdl => return Ok(Plan::Wsdl),
        Wish::Call | Wish::CheckOnly => {}
    }
    let body = edge::read_body(body, gate.body_bytes_max(way), gate.limits.request_timeout).await?;
    let (dialect, decoded) = adapter.decode(&Wire {
        query,
        headers: &head.headers,
        body: &body,
    });
    story.dialect = dialect;
    let decoded = decoded?;
    let (access, scope) = authorize(gate, story, way, &decoded.credentials).await?;
    let request = decoded.call?;
    story.calls(&request);
    gate.forwarder.permit(&access, &request)?;
    within(scope.as_ref(), &request)?;
    refuse_idempotency_key(decoded.idempotency_key)?;
    Ok(Plan::Call(Call {
        access,
        request: Arc::new(request),
        check_only: head.method == http::Method::HEAD,
        no_cache: asks_for_fresh(head),
    }))
}

/// Forward and encode: what happens once it is known what to do.
async fn finish(
    gate: Arc<Gate>,
    way: Way,
    mut story: Story,
    call: Result<Call, Error>,
) -> Response {
    let outcome = match call {
        Ok(call) => forward(&gate, &mut story, call).await,
        Err(error) => Err(error),
    };
    encode(gate.adapter(way), story, outcome)
}

fn encode(
    adapter: &dyn Adapter,
    mut story: Story,
    outcome: Result<Arc<Success>, Error>,
) -> Response {
    let request_id = story.request_id.clone();
    let answer = Answer {
        request_id: &request_id,
        operation: story.operation(),
        outcome: outcome.as_deref().map_err(|error| error),
    };
    let reply = adapter.encode(story.dialect, &answer);
    story.tell(reply.status, &answer);
    reply::respond(&story, reply, answer.outcome.err())
}

// === the verbs ===

/// Resolves the address and judges it, before a byte of the body is read or a password is hashed.
pub(crate) fn admit(gate: &Gate, story: &mut Story, head: &Parts) -> Result<(), Error> {
    edge::readable(head)?;
    let client = client_addr::resolve(
        story.peer(),
        &head.headers,
        &gate.trusted_proxies,
        gate.forwarded_header,
    )?;
    story.client = Some(client);
    story.cors_origin = gate.cors_origin(&head.headers);
    story.limit = Some(("address", gate.forwarder.admit(client.0)?));
    Ok(())
}

/// From credentials to an access that may call in this way from this address.
async fn authorize(
    gate: &Gate,
    story: &mut Story,
    way: Way,
    credentials: &Credentials,
) -> Result<(Arc<Access>, Option<Scope>), Error> {
    let circumstances = Circumstances {
        address: story.client_address(),
        way,
        now: Gate::now(),
    };
    let subject = match credentials {
        Credentials::Token(token) => Some(gate.tokens.verify(token, circumstances.now).await?),
        Credentials::Password { .. } => None,
    };
    let claim = match (credentials, &subject) {
        (Credentials::Password { user, password }, _) => Claim::User { user, password },
        (Credentials::Token(_), Some(subject)) => Claim::Proven {
            access: &subject.access,
        },
        (Credentials::Token(_), None) => return Err(Error::refused(Code::IncorrectToken)),
    };
    let access = gate
        .forwarder
        .authorize(&gate.store.accesses(), claim, circumstances)
        .await?;
    story.access = Some(access.name.clone());
    Ok((access, subject.map(|subject| subject.scope)))
}

async fn forward(gate: &Gate, story: &mut Story, call: Call) -> Result<Arc<Success>, Error> {
    if call.check_only {
        let (limit, counted) = gate.forwarder.count(&call.access);
        story.limit = limit.map(|limit| ("minute", limit)).or(story.limit);
        return counted.map(|()| Arc::new(Success::new(None)));
    }
    let Forwarded {
        outcome,
        cache,
        limit,
        upstream_time,
    } = gate
        .forwarder
        .forward(&call.access, call.request, call.no_cache)
        .await;
    story.limit = limit.map(|limit| ("minute", limit)).or(story.limit);
    story.cache = cache;
    story.upstream_time = upstream_time;
    outcome
}

// === small judgements ===

fn within(scope: Option<&Scope>, request: &Request) -> Result<(), Error> {
    if scope.is_some_and(|scope| !scope.allows(request.operation().method)) {
        return Err(Error::refused(Code::OperationNotAllowed).because("beyond the token's scope"));
    }
    Ok(())
}

/// A key that is ignored would be a broken promise; until receipts exist it is refused.
fn refuse_idempotency_key(key: Result<Option<String>, Error>) -> Result<(), Error> {
    match key? {
        None => Ok(()),
        Some(_) => Err(Error::explained(
            Code::IncorrectParam,
            "Idempotency keys are not supported yet.",
        )),
    }
}

fn asks_for_fresh(head: &Parts) -> bool {
    let mut values = head
        .headers
        .get_all(http::header::CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok());
    values.any(|value| {
        value
            .split(',')
            .any(|part| part.trim().eq_ignore_ascii_case("no-cache"))
    })
}

fn told(story: &mut Story, respond: impl FnOnce(&Story) -> Response) -> Response {
    let response = respond(story);
    story.tell_reply(response.status().as_u16(), None);
    response
}

/// The answer when a task of ours has panicked: its story has been dropped, and all that is certain is the defect.
fn http_500() -> Response {
    let mut response = Response::new(Body::from(
        r#"{"status":"ERROR","error":"INTERNAL_ERROR","delivery":"unknown"}"#,
    ));
    *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
    response
}
