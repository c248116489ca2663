//! Answers `GET /api/events` with a stream of new events as Server-Sent Events (WHATWG HTML, 9.2).

mod pieces;

use std::sync::Arc;

use adapter::{
    Answer, Authorization, Code, Credentials, Error, GET_EVENTS, Operation, Params, Reply, Request,
    Way, read_authorization,
};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, header};
use axum::response::Response;
use events::{EventFilter, StreamLimiter};
use forward::AuthContext;
use secrecy::ExposeSecret;
use tokio::time::Instant;

use crate::request::cross_site;
use crate::request::event_caller::EventCaller;
use crate::request::idempotency;
use crate::request::pipeline::admit;
use crate::request::progress::DecodedCall;
use crate::request::proof::{Proof, authorize, check_scope};
use crate::request::record::AccessRecord;
use crate::request::reply;
use crate::request::watch::parse_cursor;
use crate::state::current::Runtime;
use crate::state::snapshot::Snapshot;
use pieces::{EventStream, busy_piece, is_temporary, jittered};

/// The media type of a stream.
const EVENT_STREAM: &str = "text/event-stream";

/// The header in which a reader names the last event that it received (WHATWG HTML, 9.2.4).
const LAST_EVENT_ID: &str = "last-event-id";

/// The result of a request for a stream.
enum StreamStart {
    Options,
    /// Only the checks were requested (HEAD).
    Checked,
    Stream(Box<EventStream>),
}

/// Answers one request for a stream.
pub(crate) async fn answer(
    runtime: Arc<Runtime>,
    snapshot: Arc<Snapshot>,
    mut record: AccessRecord,
) -> Response {
    match begin(runtime, &snapshot, &mut record).await {
        Ok(StreamStart::Options) => reply::options(&mut record),
        Ok(StreamStart::Checked) => reply::stream(&mut record, Body::empty()),
        Ok(StreamStart::Stream(stream)) => reply::stream(&mut record, stream.into_body()),
        Err(error) => refuse(&snapshot, &mut record, &error),
    }
}

async fn begin(
    runtime: Arc<Runtime>,
    snapshot: &Arc<Snapshot>,
    record: &mut AccessRecord,
) -> Result<StreamStart, Error> {
    admit(snapshot, record)?;
    let checks_only = match record.context.head.method {
        Method::OPTIONS => return Ok(StreamStart::Options),
        Method::GET => false,
        Method::HEAD => true,
        _ => return Err(Error::refused(Code::HttpMethodNotAllowed)),
    };
    record.progress.rejected_operation = Operation::named(GET_EVENTS);
    cross_site::check(&record.context, &snapshot.public_url)?;
    let caller = authorized(snapshot, record).await?;
    let events = snapshot.events()?;
    let cursor = cursor(&record.context.head.headers, caller.request())?;
    let at = parse_cursor(snapshot, cursor, events.hub.newest())?;
    idempotency::check_store(snapshot)?;
    let (access, request) = (caller.access(), Some(caller.request()));
    let counted = snapshot
        .forwarder
        .count(access, request, &record.progress.wait)
        .await;
    record.progress.apply_limits(counted)?;
    if checks_only {
        return Ok(StreamStart::Checked);
    }
    let (config, client_id) = (events.config(), &caller.access().client_id);
    let chance = record.context.id.chance();
    let now = Instant::now();
    Ok(StreamStart::Stream(Box::new(EventStream {
        _permit: StreamLimiter::acquire(&events.streams, client_id, config.streams)?,
        _interest: events.interests.hold(client_id),
        filter: EventFilter::of(caller.request()),
        news: events.hub.subscribe(),
        at,
        shown: at,
        shows_reset: cursor != "earliest",
        beats_at: now,
        ends_at: now + jittered(config.stream_life, chance),
        chance,
        has_begun: false,
        peer: record.context.peer.clone(),
        may_have_left: false,
        caller,
        runtime,
    })))
}

/// Authorizes the caller of a stream in the same order as the caller of a call.
async fn authorized(snapshot: &Snapshot, record: &mut AccessRecord) -> Result<EventCaller, Error> {
    let way = way(snapshot, &record.context.head.headers)?;
    record.context.path.way = Some(way);
    let nothing = Bytes::new();
    let mut params = Params::read_head(&record.context.wire(&nothing))?;
    params.refuse_credentials()?;
    let credentials = credentials(way, &record.context.head.headers)?;
    let auth = AuthContext {
        address: record.context.client_address(),
        way,
        now: snapshot.auth_now(),
        secret_in_url: false,
    };
    let deadline = record.context.deadline(snapshot.limits.request_timeout);
    let proof = Proof::of(&credentials, deadline);
    let (access, scope) = authorize(snapshot, &mut record.progress, proof, auth).await?;
    let unknown = || Error::refused(Code::IncorrectMethod);
    let operation = Operation::named(GET_EVENTS).ok_or_else(unknown)?;
    let request = Arc::new(Request::of(operation, &mut params)?);
    record.progress.call = Some(DecodedCall::of(&request));
    snapshot.forwarder.authorize_call(&access, &request)?;
    check_scope(scope.as_ref(), &request)?;
    let caller = EventCaller::new(snapshot, credentials, &request, (&access, auth));
    Ok(caller)
}

/// Returns the way in whose credentials the header contains. If that way in is switched off, returns the other one, whose
/// credentials are then missing.
fn way(snapshot: &Snapshot, headers: &HeaderMap) -> Result<Way, Error> {
    let shown = match read_authorization(headers)? {
        Some(Authorization::Bearer(_)) => Way::Jwt,
        _ => Way::Basic,
    };
    let other = if shown == Way::Jwt {
        Way::Basic
    } else {
        Way::Jwt
    };
    Ok(if snapshot.is_open(shown) {
        shown
    } else {
        other
    })
}

/// Reads the credentials from the header. They are not accepted in the URL, because logs along the path store URLs.
fn credentials(way: Way, headers: &HeaderMap) -> Result<Credentials, Error> {
    match (way, read_authorization(headers)?) {
        (Way::Jwt, Some(Authorization::Bearer(token))) if !token.expose_secret().is_empty() => {
            Ok(Credentials::Token(token))
        }
        (Way::Jwt, _) => Err(Error::refused(Code::MissingToken)),
        (_, Some(Authorization::Basic(user, password))) => {
            Credentials::password(Some(user), password)
        }
        (_, Some(Authorization::BrokenBasic)) => {
            let cause = "the Basic credentials are not base64-encoded UTF-8";
            Err(Error::refused(Code::IncorrectUserPassword).because(cause))
        }
        (_, _) => Err(Error::refused(Code::MissingUser)),
    }
}

/// Returns the cursor from which to read. A reader that reconnects names its last event, which takes precedence over the cursor of
/// its first request.
fn cursor<'a>(headers: &'a HeaderMap, request: &'a Request) -> Result<&'a str, Error> {
    let mut again = headers.get_all(LAST_EVENT_ID).iter();
    match (again.next(), again.next()) {
        (None, _) => Ok(request.value("cursor").unwrap_or("now")),
        (Some(id), None) if id.is_empty() => Ok(request.value("cursor").unwrap_or("now")),
        (Some(id), None) => id
            .to_str()
            .map_err(|_| Error::incorrect("The Last-Event-ID is not from this gateway.")),
        (Some(_), Some(_)) => Err(Error::incorrect("The Last-Event-ID header is given twice.")),
    }
}

/// Rejects a request for a stream. A temporary error is reported inside a stream if the reader accepts one, because a browser never
/// reconnects after a status other than 200.
fn refuse(snapshot: &Snapshot, record: &mut AccessRecord, error: &Error) -> Response {
    let id = record.context.id.clone();
    let answer = Answer {
        request_id: id.shown(),
        operation: record.progress.operation(),
        outcome: Err(error),
    };
    let accepted = record.context.head.headers.get_all(header::ACCEPT).iter();
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    if is_temporary(error) && accepted.any(|value| value.contains(EVENT_STREAM)) {
        let busy = Reply {
            status: 200,
            content_type: EVENT_STREAM,
            challenges: &[],
            body: busy_piece(error, &answer, record.context.id.chance())
                .into_text()
                .into(),
            rest: None,
        };
        return reply::respond(record, busy, &answer, None);
    }
    let way = record.context.path.way.unwrap_or(Way::Basic);
    let mut refused = snapshot.adapter(way).encode(Default::default(), &answer);
    refused.status = error.code().status();
    reply::respond(record, refused, &answer, None)
}
