//! The life of a request: admit → decode → authorize → forward → encode.
//!
//! The outer half never fails: it begins the story, lets the inner half work, tells the story and
//! answers whatever happened. The inner half is one verb after the other, each with `?`.

use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;

use adapter::{
    Answer, Code, Credentials, Decoded, Effect, Error, Request, Response as Success, Way, Wire,
};
use adapter_jwt::{Scope, TokenOrigin};
use adapter_soap::WsdlPorts;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use forward::{AuthContext, CallOptions, Issued, PresentedCredentials};
use futures_util::FutureExt;
use http::HeaderMap;
use http::request::Parts;
use server::Peer;
use store::{Access, JournalLevel};

use crate::client_addr;
use crate::request::detached::DetachOnDrop;
use crate::request::idempotency;
use crate::request::record::{self, Story};
use crate::request::reply;
use crate::request::validate::{self, RequestKind};
use crate::state::snapshot::Snapshot;

/// What is to be done: a call, or something that needs none.
enum Plan {
    Options,
    Wsdl(WsdlPorts),
    Call(Call),
}

/// A call that is right in itself, by a caller who may make it.
struct Call {
    access: Arc<Access>,
    request: Arc<Request>,
    /// Of a send that may be asked for again.
    key: Option<String>,
    options: CallOptions,
}

/// Answers one request of a way in, whatever happens.
pub(crate) async fn answer(
    snapshot: Arc<Snapshot>,
    way: Way,
    caller: Peer,
    request: http::Request<Body>,
) -> Response {
    let (head, body) = request.into_parts();
    let mut story = Story::begin(&snapshot, (Some(way), way.path()), caller, &head);
    let planned = guarded(pin!(plan(&snapshot, &mut story, way, (&head, body)))).await;
    match planned {
        Ok(Plan::Call(call)) if call.request.operation().effect != Effect::Read => {
            // A caller who hangs up does not stop what may already be on its way to a person, nor does a drain.
            let its_snapshot = Arc::clone(&snapshot);
            let headers = head.headers;
            let finishing = || async move {
                finish(&its_snapshot, way, &mut story, (&headers, Ok(call))).await
            };
            let finishing = AssertUnwindSafe(DetachOnDrop::new(&snapshot.under_way, finishing));
            let finished = finishing.catch_unwind().await;
            finished.unwrap_or_else(|_| reply::defect())
        }
        Ok(Plan::Call(call)) => finish(&snapshot, way, &mut story, (&head.headers, Ok(call))).await,
        Ok(Plan::Options) => reply::options(&mut story),
        Ok(Plan::Wsdl(ports)) => {
            let text = snapshot.wsdl(ports).to_owned();
            reply::document(&mut story, "text/xml; charset=utf-8", text)
        }
        Err(error) => finish(&snapshot, way, &mut story, (&head.headers, Err(error))).await,
    }
}

/// The inner half, up to the point where something may happen outside.
async fn plan(
    snapshot: &Snapshot,
    story: &mut Story,
    way: Way,
    (head, body): (&Parts, Body),
) -> Result<Plan, Error> {
    let adapter = snapshot.adapter(way);
    let (query, headers) = (head.uri.query().unwrap_or_default(), &head.headers);
    let nothing = Bytes::new();
    let unread = Wire {
        query,
        headers,
        body: &nothing,
    };
    story.dialect = adapter.dialect(&unread);
    admit(snapshot, story, head)?;
    match validate::kind(way, head)? {
        RequestKind::Options => return Ok(Plan::Options),
        RequestKind::Wsdl(ports) => return Ok(Plan::Wsdl(ports)),
        RequestKind::Call | RequestKind::CheckOnly => {}
    }
    if validate::waits_to_go_on(head, &body) {
        adapter.refuse_head(&unread)?;
    }
    let deadline = story.deadline(snapshot.limits.request_timeout);
    let body = validate::read_body(body, snapshot.body_bytes_max(way), deadline).await?;
    let (dialect, decoded) = adapter.decode(&Wire {
        query,
        headers,
        body: &body,
    });
    story.dialect = dialect;
    let decoded = decoded?;
    let (access, scope) = authorize(snapshot, story, way, &decoded).await?;
    let request = decoded.call?;
    story.calls(&request);
    snapshot.forwarder.permit(&access, &request)?;
    within(scope.as_ref(), &request)?;
    let key = idempotency::key(decoded.idempotency_key)?;
    story.check_only = head.method == http::Method::HEAD;
    let no_cache = validate::asks_for_fresh(head);
    let request = Arc::new(request);
    Ok(Plan::Call(Call {
        access,
        request,
        key,
        options: CallOptions { no_cache, deadline },
    }))
}

/// Forward and encode: what is left to do once it is known what to do.
async fn finish(
    snapshot: &Snapshot,
    way: Way,
    story: &mut Story,
    (headers, call): (&HeaderMap, Result<Call, Error>),
) -> Response {
    let outcome = match call {
        Ok(call) => guarded(pin!(forward(snapshot, story, call))).await,
        Err(error) => Err(error),
    };
    let outcome = outcome.map_err(|error| {
        story.tell_walk(headers, snapshot.trust());
        story.judge_delivery(error)
    });
    let request_id = story.request_id.clone();
    let answer = Answer {
        request_id: &request_id,
        // HEAD has sent nothing, so that no word on delivery is told.
        operation: story.operation().filter(|_| !story.check_only),
        outcome: outcome.as_deref(),
    };
    let reply = snapshot.adapter(way).encode(story.dialect, &answer);
    story.tell(reply.status, &answer);
    idempotency::settled(story.settling.take()).await;
    reply::respond(story, reply, answer.outcome.err())
}

// === the verbs ===

/// Resolves the address and judges it, before a byte of the body is read or a password is hashed.
pub(crate) fn admit(snapshot: &Snapshot, story: &mut Story, head: &Parts) -> Result<(), Error> {
    // Where one thing about a head is broken, its end may be as well: nothing may ride behind it.
    validate::readable(head, story.close).inspect_err(|_| story.close = true)?;
    let client = client_addr::resolve(story.peer(), &head.headers, snapshot.trust())?;
    story.client = Some(client);
    if snapshot.trust().believes(story.peer()) {
        story.trace_id = record::trace_id(&head.headers);
    }
    story.cors_origin = snapshot.cors_origin(&head.headers);
    let (limit, admitted) = snapshot.forwarder.admit(client.0);
    story.limit = limit.map(|limit| ("address", limit));
    admitted
}

/// From credentials to an access that may call in this way from this address.
async fn authorize(
    snapshot: &Snapshot,
    story: &mut Story,
    way: Way,
    decoded: &Decoded,
) -> Result<(Arc<Access>, Option<Scope>), Error> {
    let context = AuthContext {
        address: story.client_address(),
        way,
        now: Snapshot::now(),
        secret_in_url: decoded.secret_in_url,
    };
    let accesses = snapshot.store.accesses();
    let AuthContext { address, now, .. } = context;
    let (access, scope) = match &decoded.credentials {
        Credentials::Password { user, password } => {
            let claim = PresentedCredentials::User { user, password };
            (
                snapshot.forwarder.prove(&accesses, claim, address).await?,
                None,
            )
        }
        Credentials::Token(token) => {
            let proven = async {
                let subject = snapshot.tokens.verify(token, now).await?;
                let claim = PresentedCredentials::Proven {
                    access: &subject.access,
                    issued: issued(&subject.origin),
                };
                let proving = snapshot.forwarder.prove(&accesses, claim, address);
                Ok((proving.await?, Some(subject.scope.clone())))
            };
            snapshot.forwarder.vouch(address, proven).await?
        }
    };
    // From here on a refusal is told with the name of who was refused.
    story.access = Some(access.name.clone());
    story.keeps_answer = access.journal == JournalLevel::Full;
    story.would_refuse = snapshot.forwarder.judge(&access, context)?;
    snapshot.note_use(&access, context);
    Ok((access, scope))
}

/// Gets the answer and holds it for the caller.
async fn forward(
    snapshot: &Snapshot,
    story: &mut Story,
    call: Call,
) -> Result<Arc<Success>, Error> {
    let access = Arc::clone(&call.access);
    let is_send = call.request.operation().effect == Effect::Send;
    let response = outcome(snapshot, story, call).await?;
    story.held = snapshot.forwarder.hold(&access, &response, is_send)?;
    Ok(response)
}

/// Gets the answer, or for HEAD only counts the call.
async fn outcome(
    snapshot: &Snapshot,
    story: &mut Story,
    call: Call,
) -> Result<Arc<Success>, Error> {
    if story.check_only {
        let counted = snapshot
            .forwarder
            .count(&call.access, Some(&call.request))
            .await;
        story.limited_by(counted.limit, counted.day, counted.would_refuse);
        return counted.refused.map_or(Ok(Arc::new(Success::empty())), Err);
    }
    let Call {
        access,
        request,
        key,
        options,
    } = call;
    let is_send = request.operation().effect == Effect::Send;
    if !is_send {
        idempotency::may_go_untraced(snapshot)?;
    }
    let claim = key.filter(|_| is_send).map(|key| {
        let request_id = &story.request_id;
        idempotency::claim(snapshot, (&access, &request), request_id, key)
    });
    if let Some(claim) = &claim
        && let Some(told) = Box::pin(idempotency::replayed(snapshot, story, claim)).await?
    {
        return Ok(told);
    }
    let (counted, _turn) = snapshot.forwarder.begin(&access, &request).await;
    story.limited_by(counted.limit, counted.day, counted.would_refuse);
    counted.refused.map_or(Ok(()), Err)?;
    if is_send && let Some(told) = Box::pin(idempotency::open(snapshot, story, claim)).await? {
        return Ok(told);
    }
    let forwarded = snapshot.forwarder.forward(&access, request, options).await;
    story.cache = forwarded.cache;
    story.timing = forwarded.timing;
    forwarded.outcome
}

// === small judgements ===

/// A panic of ours is a defect, told to the caller as one and not as a connection that ends.
async fn guarded<T, F: Future<Output = Result<T, Error>>>(work: Pin<&mut F>) -> Result<T, Error> {
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(Error::refused(Code::InternalError).because("a panic of ours")))
}

fn issued(origin: &TokenOrigin) -> Issued<'_> {
    match origin {
        TokenOrigin::Own {
            client_id,
            generation,
        } => Issued::Here {
            client_id,
            generation: *generation,
        },
        TokenOrigin::Outside { issued_at } => Issued::Elsewhere(*issued_at),
    }
}

fn within(scope: Option<&Scope>, request: &Request) -> Result<(), Error> {
    if scope.is_some_and(|scope| !scope.allows(request.operation().method)) {
        return Err(Error::refused(Code::OperationNotAllowed).because("beyond the token's scope"));
    }
    Ok(())
}
