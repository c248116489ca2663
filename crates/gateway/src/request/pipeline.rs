//! The life of a request: admit → decode → authorize → forward → encode.
//!
//! The outer half, `answer` and `finish`, never fails: it begins the access record, runs the inner half, writes the record, and
//! answers in any case. The inner half is a sequence of verbs, each with `?`.

use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Instant;

use adapter::{Answer, Code, Decoded, Effect, Error, Request, Response as Success, Way};
use adapter_soap::WsdlPorts;
use axum::body::Body;
use axum::body::Bytes;
use axum::http::Method;
use axum::response::Response;
use forward::{AuthContext, CallOptions, HeldAnswer, boxed};
use futures_util::FutureExt;
use server::Peer;
use store::Access;
use telemetry::CallStep;

use crate::client_addr;
use crate::paths::PublicPath;
use crate::request::context::RequestContext;
use crate::request::cross_site;
use crate::request::detached::DetachOnDrop;
use crate::request::event_caller::EventCaller;
use crate::request::idempotency::{self, SendState};
use crate::request::progress::{DecodedCall, RequestProgress};
use crate::request::proof::{Proof, authorize, check_scope};
use crate::request::record::AccessRecord;
use crate::request::reply;
use crate::request::validate::{self, RequestKind};
use crate::request::watch;
use crate::state::snapshot::Snapshot;

/// The action that a request asks for.
enum Plan {
    Options,
    Wsdl(WsdlPorts),
    Call(PlannedCall),
}

/// A valid call by a caller that may make it.
struct PlannedCall {
    access: Arc<Access>,
    request: Arc<Request>,
    /// The idempotency key, if there is one.
    key: Option<String>,
    /// True if only the checks are requested (HEAD).
    checks_only: bool,
    options: CallOptions,
    /// The caller of `getevents`, which is judged again while it waits.
    watcher: Option<Box<EventCaller>>,
}

/// Answers one request of a way in. Always returns a response.
pub(crate) async fn answer(
    snapshot: Arc<Snapshot>,
    way: Way,
    peer: Peer,
    request: axum::http::Request<Body>,
) -> Response {
    let (head, body) = request.into_parts();
    let mut record = AccessRecord::begin(&snapshot, PublicPath::of(way), peer, head);
    let planned = catch_panic(pin!(plan(&snapshot, &mut record, way, body))).await;
    match planned {
        Ok(Plan::Call(call)) if is_irrevocable(&call) => {
            // Neither a disconnecting caller nor a drain stops a message that may already be on its way to a person.
            let call_snapshot = Arc::clone(&snapshot);
            let finishing =
                boxed(|| async move { finish(&call_snapshot, way, &mut record, Ok(call)).await });
            let finishing = AssertUnwindSafe(DetachOnDrop::new(&snapshot.under_way, finishing));
            let finished = finishing.catch_unwind().await;
            finished.unwrap_or_else(|_| reply::internal_error())
        }
        Ok(Plan::Call(call)) => finish(&snapshot, way, &mut record, Ok(call)).await,
        Ok(Plan::Options) => reply::options(&mut record),
        Ok(Plan::Wsdl(ports)) => {
            let text = snapshot.wsdl(ports).to_owned();
            reply::document(&mut record, "text/xml; charset=utf-8", text)
        }
        Err(error) => finish(&snapshot, way, &mut record, Err(error)).await,
    }
}

/// Runs the inner half up to the point from which the call may have effects outside.
async fn plan(
    snapshot: &Snapshot,
    record: &mut AccessRecord,
    way: Way,
    body: Body,
) -> Result<Plan, Error> {
    admit(snapshot, record)?;
    let AccessRecord {
        context, progress, ..
    } = record;
    progress.enter(CallStep::Decode, context);
    match validate::kind(way, &context.head)? {
        RequestKind::Options => return Ok(Plan::Options),
        RequestKind::Wsdl(ports) => return Ok(Plan::Wsdl(ports)),
        RequestKind::Call | RequestKind::CheckOnly => {}
    }
    cross_site::check(context, &snapshot.public_url)?;
    let deadline = context.deadline(snapshot.limits.request_timeout);
    let decoded = decode(snapshot, (context, progress), (way, body), deadline).await?;
    let auth = AuthContext {
        address: context.client_address(),
        way,
        now: snapshot.auth_now(),
        secret_in_url: decoded.secret_in_url,
    };
    validate::current(&decoded, auth.now)?;
    let proof = Proof::of(&decoded.credentials, deadline);
    progress.enter(CallStep::Authorize, context);
    let (access, scope) = authorize(snapshot, progress, proof, auth).await?;
    let call = decoded.call;
    let call = call.inspect_err(|error| progress.rejected_operation = error.operation());
    let request = Arc::new(call?);
    let watches = request.operation().effect == Effect::Watch;
    if watches {
        snapshot.events()?;
    }
    progress.call = Some(DecodedCall::of(&request));
    snapshot.forwarder.authorize_call(&access, &request)?;
    check_scope(scope.as_ref(), &request)?;
    let key = idempotency::check_key(decoded.idempotency_key)?;
    let no_cache = validate::bypasses_cache(&context.head);
    let watcher = watches.then(|| {
        let caller = EventCaller::new(snapshot, decoded.credentials, &request, (&access, auth));
        Box::new(caller)
    });
    Ok(Plan::Call(PlannedCall {
        watcher,
        access,
        request,
        key,
        checks_only: context.head.method == Method::HEAD,
        options: CallOptions {
            no_cache,
            deadline,
            trace: None,
            permit: None,
        },
    }))
}

/// Forwards the planned call, encodes the outcome and writes the record.
async fn finish(
    snapshot: &Snapshot,
    way: Way,
    record: &mut AccessRecord,
    call: Result<PlannedCall, Error>,
) -> Response {
    let checks_only = call.as_ref().is_ok_and(|call| call.checks_only);
    let forwarded = match call {
        Ok(call) => catch_panic(pin!(forward(snapshot, way, record, call))).await,
        Err(error) => Err(error),
    };
    record.enter(CallStep::Encode);
    let (outcome, held_answer) = match forwarded {
        Ok((success, held_answer)) => (Ok(success), held_answer),
        Err(error) => (Err(record.progress.with_delivery(error)), None),
    };
    let id = record.context.id.clone();
    let answer = Answer {
        request_id: id.shown(),
        // HEAD has sent nothing, so the answer has no delivery word.
        operation: record.progress.operation().filter(|_| !checks_only),
        outcome: outcome.as_deref(),
    };
    let adapter = snapshot.adapter(way);
    let dialect = record.progress.dialect;
    let dialect = dialect.unwrap_or_else(|| adapter.dialect(&record.context.wire(&Bytes::new())));
    let mut encoded = adapter.encode(dialect, &answer);
    if checks_only && answer.outcome.is_ok() {
        // The upstream was not called. The length of the answer to GET is therefore unknown and must not be announced (RFC 9110,
        // 8.6).
        (encoded.body, encoded.rest) = (Bytes::new(), None);
    }
    let response = reply::respond(record, encoded, &answer, held_answer);
    record.progress.send.settled().await;
    response
}

// === the verbs ===

/// Resolves and judges the address, before any byte of the body is read or any password is hashed.
pub(crate) fn admit(snapshot: &Snapshot, record: &mut AccessRecord) -> Result<(), Error> {
    let AccessRecord {
        context, progress, ..
    } = record;
    let head = &context.head;
    // A malformed head may end at the wrong place, so no other request may follow it on this connection.
    validate::readable(head).inspect_err(|_| progress.closes_connection = true)?;
    let client = client_addr::resolve(context.peer(), &head.headers, snapshot.trust())?;
    context.client = Some(client);
    if snapshot.trust().trusts(context.peer()) {
        progress.follow_trace(context);
    }
    context.cors_origin = snapshot.cors_origin(&context.head.headers);
    let admitted = snapshot.forwarder.admit(client.0);
    progress.minute = admitted.state;
    admitted.result
}

/// Reads the body and decodes it. If the head already shows the mistake, a large body is not read.
async fn decode(
    snapshot: &Snapshot,
    (context, progress): (&RequestContext, &mut RequestProgress),
    (way, body): (Way, Body),
    deadline: Instant,
) -> Result<Decoded, Error> {
    let adapter = snapshot.adapter(way);
    if validate::head_comes_first(&context.head, &body) {
        let refused = adapter.refuse_head(&context.wire(&Bytes::new()));
        refused.inspect_err(|_| progress.closes_connection = true)?;
    }
    let begin = || snapshot.forwarder.begin_body(context.client_address());
    let reading = validate::read_body(body, snapshot.body_bytes_max(way), deadline, begin);
    let body = reading
        .await
        .inspect_err(|_| progress.closes_connection = true)?;
    let (dialect, decoded) = adapter.decode(&context.wire(&body));
    progress.dialect = Some(dialect);
    decoded
}

/// Gets the answer and counts its bytes until the caller has taken it.
async fn forward(
    snapshot: &Snapshot,
    way: Way,
    record: &mut AccessRecord,
    call: PlannedCall,
) -> Result<(Arc<Success>, Option<HeldAnswer>), Error> {
    let access = Arc::clone(&call.access);
    // After a call with effects the answer must reach the caller, because it can't be requested again.
    let (must_deliver, operation) = (is_irrevocable(&call), call.request.operation());
    let success = obtain_answer(snapshot, record, call).await?;
    snapshot.adapter(way).check_result(operation, &success)?;
    let held_answer = snapshot.forwarder.hold(&access, &success, must_deliver)?;
    Ok((success, held_answer))
}

/// Gets the answer; for HEAD only makes the checks, with an empty answer. Futures that only sends need are boxed, so that reads
/// reserve no memory for them.
async fn obtain_answer(
    snapshot: &Snapshot,
    record: &mut AccessRecord,
    call: PlannedCall,
) -> Result<Arc<Success>, Error> {
    let PlannedCall {
        access,
        request,
        key,
        checks_only,
        mut options,
        watcher,
    } = call;
    let forwarder = &snapshot.forwarder;
    record.enter(CallStep::Limit);
    let is_send = request.operation().effect == Effect::Send;
    if is_send {
        let request_id = record.context.id.shown();
        record.progress.send = SendState::begin(snapshot, &access, &request, request_id, key);
        if let Some(success) = Box::pin(record.progress.send.replay(snapshot)).await? {
            return Ok(success);
        }
        if checks_only {
            idempotency::check_writable(snapshot)?;
        }
    } else {
        idempotency::check_store(snapshot)?;
    }
    if let Some(watcher) = watcher {
        let deadline = (!checks_only).then_some(options.deadline);
        return Box::pin(watch(snapshot, record, *watcher, deadline)).await;
    }
    let (deadline, wait) = (options.deadline, &record.progress.wait);
    let acquiring = forwarder.acquire(&access, &request, deadline, wait);
    let (counted, permit) = acquiring.await;
    options.permit = permit.map(Box::new);
    record.progress.apply_limits(counted)?;
    if checks_only {
        return Ok(Arc::new(Success::empty()));
    }
    if is_send {
        record.enter(CallStep::Journal);
        let row = record.open_row();
        let (began, _) = record.context.began();
        let dispatching = record.progress.send.dispatch(snapshot, row, began);
        if let Some(success) = Box::pin(dispatching).await? {
            return Ok(success);
        }
    }
    record.enter(CallStep::Forward);
    let trace = record.progress.trace.as_mut();
    options.trace = trace.map(|trace| trace.attempts(request.operation().effect));
    let forwarded = forwarder.forward(&access, request, options).await;
    record.progress.cache = forwarded.cache;
    record.progress.timing = forwarded.timing;
    forwarded.outcome
}

/// Counts the call and answers it in this process, unless there is no deadline because only the checks are requested. The call waits
/// for events, so it takes no permit away from calls to the upstream.
async fn watch(
    snapshot: &Snapshot,
    record: &mut AccessRecord,
    watcher: EventCaller,
    deadline: Option<Instant>,
) -> Result<Arc<Success>, Error> {
    let (access, request) = (watcher.access(), Some(watcher.request()));
    let counting = snapshot
        .forwarder
        .count(access, request, &record.progress.wait);
    let counted = counting.await;
    record.progress.apply_limits(counted)?;
    let Some(deadline) = deadline else {
        return Ok(Arc::new(Success::empty()));
    };
    record.enter(CallStep::Forward);
    let answer = watch::answer(snapshot, watcher, &record.context.peer, deadline).await?;
    Ok(Arc::new(answer))
}

// === small decisions ===

/// Returns whether the effect of a call can't be undone. Such a call runs to its end even if the caller disconnects, and its answer
/// is always delivered.
fn is_irrevocable(call: &PlannedCall) -> bool {
    match call.request.operation().effect {
        Effect::Read | Effect::Watch => false,
        Effect::Consume | Effect::Send => true,
    }
}

/// Turns a panic of our code into an error, so that the caller gets an answer instead of a closed connection.
async fn catch_panic<T, F>(work: Pin<&mut F>) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    AssertUnwindSafe(work)
        .catch_unwind()
        .await
        .unwrap_or_else(
            |_| Err(Error::refused(Code::InternalError).because("the gateway panicked")),
        )
}
